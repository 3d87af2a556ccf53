-- How many jobs have ended, and the bytes of their documents and results: kept beside every change, for counting a long
-- history takes long.
CREATE TABLE held (
    one integer PRIMARY KEY CHECK (one = 1),
    jobs bigint NOT NULL,
    bytes bigint NOT NULL
);
INSERT INTO held SELECT 1, count(*), coalesce(sum(bytes), 0) FROM job WHERE state = 'ended';

CREATE FUNCTION count_held() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        UPDATE held SET jobs = jobs - 1, bytes = bytes - OLD.bytes;
    ELSE
        UPDATE held SET jobs = jobs + 1, bytes = bytes + NEW.bytes;
    END IF;
    RETURN NULL;
END
$$;
CREATE TRIGGER job_ends AFTER UPDATE OF state ON job FOR EACH ROW
    WHEN (NEW.state = 'ended' AND OLD.state <> 'ended') EXECUTE FUNCTION count_held();
CREATE TRIGGER job_is_forgotten AFTER DELETE ON job FOR EACH ROW
    WHEN (OLD.state = 'ended') EXECUTE FUNCTION count_held();
