CREATE TABLE job (
    id TEXT PRIMARY KEY,
    arrival INTEGER NOT NULL UNIQUE,
    number REAL NOT NULL,
    number_given INTEGER NOT NULL,
    client_id TEXT,
    peer TEXT,
    needs TEXT NOT NULL,
    fingerprint BLOB NOT NULL,
    submitted_at INTEGER NOT NULL,
    -- waiting, dispatched, ended
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    spent_attempts INTEGER NOT NULL DEFAULT 0,
    outcome TEXT,
    ended_at INTEGER
) STRICT;
CREATE INDEX job_live ON job (state) WHERE state <> 'ended';
CREATE INDEX job_ended ON job (ended_at, arrival) WHERE state = 'ended';

CREATE TABLE document (
    job_id TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    prompt TEXT NOT NULL,
    extra_data TEXT NOT NULL,
    partial_execution_targets TEXT,
    outputs_to_execute TEXT NOT NULL
) STRICT;

CREATE TABLE attempt (
    job_id TEXT NOT NULL REFERENCES job (id) ON DELETE CASCADE,
    number INTEGER NOT NULL,
    backend TEXT NOT NULL,
    prompt_id TEXT,
    dispatched_at INTEGER NOT NULL,
    ended_at INTEGER,
    ending TEXT,
    why TEXT NOT NULL,
    PRIMARY KEY (job_id, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE result (
    job_id TEXT PRIMARY KEY REFERENCES job (id) ON DELETE CASCADE,
    outputs TEXT NOT NULL,
    status TEXT NOT NULL,
    meta TEXT NOT NULL
) STRICT;

CREATE TABLE upload (
    subfolder TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (subfolder, name)
) STRICT, WITHOUT ROWID;

CREATE TABLE setting (
    key TEXT PRIMARY KEY,
    value TEXT NOT NULL
) STRICT, WITHOUT ROWID;
