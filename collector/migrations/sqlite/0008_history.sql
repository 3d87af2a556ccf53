-- How many jobs have ended, and the bytes of their documents and results: kept beside every change, for counting a long
-- history takes long.
CREATE TABLE held (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    jobs INTEGER NOT NULL,
    bytes INTEGER NOT NULL
) STRICT;
INSERT INTO held SELECT 1, count(*), coalesce(sum(bytes), 0) FROM job WHERE state = 'ended';
CREATE TRIGGER job_ends AFTER UPDATE OF state ON job WHEN new.state = 'ended' AND old.state <> 'ended' BEGIN
    UPDATE held SET jobs = jobs + 1, bytes = bytes + new.bytes;
END;
CREATE TRIGGER job_is_forgotten AFTER DELETE ON job WHEN old.state = 'ended' BEGIN
    UPDATE held SET jobs = jobs - 1, bytes = bytes - old.bytes;
END;

-- In the order in which a start loads them.
DROP INDEX job_live;
CREATE INDEX job_live ON job (arrival) WHERE state <> 'ended';
-- Those that an earlier schema left without a summary, which every start looks for.
CREATE INDEX job_without_summary ON job (arrival) WHERE state = 'ended' AND outputs_count IS NULL;
DROP INDEX job_ended;
CREATE INDEX job_ended ON job (ended_at, arrival) WHERE state = 'ended';
