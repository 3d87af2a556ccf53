-- Who is told of a job's end, written with it.
CREATE TABLE webhook (
    sequence bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    -- No reference: it is sent even when the job has been forgotten meanwhile.
    job_id uuid NOT NULL UNIQUE,
    url text NOT NULL,
    -- None once it need not be sent any more.
    body text,
    -- waiting, delivered, given_up
    state text NOT NULL,
    attempts bigint NOT NULL DEFAULT 0,
    created_at bigint NOT NULL,
    due_at bigint,
    tried_at bigint,
    error text
);
CREATE INDEX webhook_waiting ON webhook (sequence) WHERE state = 'waiting';
