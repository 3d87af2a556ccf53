-- What lists of jobs show and are ordered by, so that no list reads documents, and what retention counts.
ALTER TABLE job ADD COLUMN workflow_id TEXT;
-- Where it was dispatched to last.
ALTER TABLE job ADD COLUMN last_backend TEXT;
-- Of its documents and results.
ALTER TABLE job ADD COLUMN bytes INTEGER NOT NULL DEFAULT 0;
ALTER TABLE job ADD COLUMN execution_start INTEGER;
ALTER TABLE job ADD COLUMN execution_end INTEGER;
-- Of an ended job without it the summary is still to be made, which happens when the database is opened.
ALTER TABLE job ADD COLUMN outputs_count INTEGER;
ALTER TABLE job ADD COLUMN previewable_outputs_count INTEGER;
ALTER TABLE job ADD COLUMN preview TEXT;
-- waiting, dispatched, or the outcome
ALTER TABLE job ADD COLUMN standing TEXT
    GENERATED ALWAYS AS (CASE state WHEN 'ended' THEN outcome ELSE state END) VIRTUAL;
ALTER TABLE job ADD COLUMN duration INTEGER
    GENERATED ALWAYS AS (coalesce(execution_end - execution_start, 0)) VIRTUAL;

UPDATE job SET
    last_backend = (
        SELECT backend FROM attempt WHERE attempt.job_id = job.id AND attempt.number = job.attempts
    ),
    workflow_id = (
        SELECT CASE json_type(extra_data, '$.extra_pnginfo.workflow.id')
            WHEN 'text' THEN extra_data ->> '$.extra_pnginfo.workflow.id'
        END FROM document WHERE document.job_id = job.id
    ),
    bytes = coalesce((
        SELECT octet_length(prompt) + octet_length(extra_data) FROM document WHERE document.job_id = job.id
    ), 0) + coalesce((
        SELECT octet_length(outputs) + octet_length(status) + octet_length(meta) FROM result WHERE result.job_id = job.id
    ), 0);

CREATE INDEX job_created ON job (submitted_at, arrival);
CREATE INDEX job_standing ON job (standing, submitted_at, arrival);
CREATE INDEX job_workflow ON job (workflow_id, submitted_at, arrival) WHERE workflow_id IS NOT NULL;
DROP INDEX job_ended;
CREATE INDEX job_ended ON job (ended_at, arrival, bytes) WHERE state = 'ended';
