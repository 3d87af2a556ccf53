-- The schema that SQLite's first five migrations make together. What SQLite keeps as JSON text is text here too: jsonb
-- would keep neither the bytes of a prompt nor a NUL in a string.
CREATE SEQUENCE arrival;

CREATE TABLE job (
    id uuid PRIMARY KEY,
    arrival bigint NOT NULL UNIQUE,
    number double precision NOT NULL,
    number_given boolean NOT NULL,
    client_id text,
    peer text,
    -- Whose token it was submitted with; none where no tokens were asked for.
    owner text,
    -- What its submission asked for, as JSON; none where it asked for nothing.
    wishes text,
    needs text NOT NULL,
    -- The names of the models among its needs, for lists.
    models text[] NOT NULL,
    fingerprint bytea NOT NULL,
    submitted_at bigint NOT NULL,
    -- waiting, dispatched, ended
    state text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    spent_attempts bigint NOT NULL DEFAULT 0,
    outcome text,
    ended_at bigint,
    -- What lists show and are ordered by, so that no list reads documents, and what retention counts.
    workflow_id text,
    last_backend text,
    bytes bigint NOT NULL,
    execution_start bigint,
    execution_end bigint,
    outputs_count bigint,
    previewable_outputs_count bigint,
    preview text,
    -- waiting, dispatched, or the outcome
    standing text NOT NULL GENERATED ALWAYS AS (CASE state WHEN 'ended' THEN outcome ELSE state END) STORED,
    duration bigint NOT NULL GENERATED ALWAYS AS (coalesce(execution_end - execution_start, 0)) STORED
);
CREATE INDEX job_live ON job (arrival) WHERE state <> 'ended';
CREATE INDEX job_ended ON job (ended_at, arrival) WHERE state = 'ended';
CREATE INDEX job_created ON job (submitted_at, arrival);
CREATE INDEX job_standing ON job (standing, submitted_at, arrival);
CREATE INDEX job_workflow ON job (workflow_id, submitted_at, arrival) WHERE workflow_id IS NOT NULL;

CREATE TABLE document (
    job_id uuid PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    prompt text NOT NULL,
    extra_data text NOT NULL,
    partial_execution_targets text,
    outputs_to_execute text NOT NULL
);

CREATE TABLE attempt (
    job_id uuid NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number bigint NOT NULL,
    backend text NOT NULL,
    prompt_id text,
    dispatched_at bigint NOT NULL,
    ended_at bigint,
    ending text,
    why text NOT NULL,
    PRIMARY KEY (job_id, number)
);

CREATE TABLE result (
    job_id uuid PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    outputs text NOT NULL,
    status text NOT NULL,
    meta text NOT NULL
);

CREATE TABLE upload (
    -- input, output, temp
    kind text NOT NULL,
    subfolder text NOT NULL,
    name text NOT NULL,
    sha256 bytea NOT NULL,
    size_bytes bigint NOT NULL,
    PRIMARY KEY (kind, subfolder, name)
);

CREATE TABLE setting (
    key text PRIMARY KEY,
    value text NOT NULL
);

-- Fails the statement that did not find all that it was to change, so that one statement is a transaction of its own.
CREATE FUNCTION expect_all(changed bigint, wanted bigint) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    IF changed <> wanted THEN
        RAISE EXCEPTION '% of % jobs are as they were expected to be', changed, wanted USING ERRCODE = 'OR001';
    END IF;
END
$$;
