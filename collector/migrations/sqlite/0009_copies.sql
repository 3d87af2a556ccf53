-- Files of backends' folder `output` that are to be copied, or have been, so that they outlive these.
CREATE TABLE copy (
    -- As clients name the file: the first segment is the backend's name.
    subfolder TEXT NOT NULL,
    name TEXT NOT NULL,
    backend TEXT NOT NULL,
    -- How often a job has ended with this file. Each may have made it anew.
    wants INTEGER NOT NULL,
    -- When the first of these that has not been copied did.
    wanted_at INTEGER NOT NULL,
    -- When it is tried next; none where what has been copied is the file.
    due_at INTEGER,
    -- What was copied last: its name among the contents, and what it is. None where nothing was.
    content TEXT,
    sha256 TEXT,
    size_bytes INTEGER,
    -- As the backend called it.
    etag TEXT,
    copied_at INTEGER,
    PRIMARY KEY (subfolder, name)
) STRICT, WITHOUT ROWID;
CREATE INDEX copy_due ON copy (due_at, subfolder, name) WHERE due_at IS NOT NULL;
CREATE INDEX copy_copied ON copy (copied_at, size_bytes) WHERE content IS NOT NULL;
