-- Who is told of a job's end, written with it.
CREATE TABLE webhook (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    -- No reference: it is sent even when the job has been forgotten meanwhile.
    job_id TEXT NOT NULL UNIQUE,
    url TEXT NOT NULL,
    -- None once it need not be sent any more.
    body TEXT,
    -- waiting, delivered, given_up
    state TEXT NOT NULL,
    attempts INTEGER NOT NULL DEFAULT 0,
    created_at INTEGER NOT NULL,
    due_at INTEGER,
    tried_at INTEGER,
    error TEXT
) STRICT;
CREATE INDEX webhook_waiting ON webhook (sequence) WHERE state = 'waiting';
