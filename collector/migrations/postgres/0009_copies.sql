-- Files of backends' folder `output` that are to be copied, or have been, so that they outlive these.
CREATE TABLE copy (
    -- As clients name the file: the first segment is the backend's name.
    subfolder text NOT NULL,
    name text NOT NULL,
    backend text NOT NULL,
    -- How often a job has ended with this file. Each may have made it anew.
    wants bigint NOT NULL,
    -- When the first of these that has not been copied did.
    wanted_at bigint NOT NULL,
    -- When it is tried next; none where what has been copied is the file.
    due_at bigint,
    -- What was copied last: its name among the contents, and what it is. None where nothing was.
    content text,
    sha256 text,
    size_bytes bigint,
    -- As the backend called it.
    etag text,
    copied_at bigint,
    PRIMARY KEY (subfolder, name)
);
CREATE INDEX copy_due ON copy (due_at, subfolder, name) WHERE due_at IS NOT NULL;
CREATE INDEX copy_copied ON copy (copied_at, size_bytes) WHERE content IS NOT NULL;
