-- When it began to run and when its first step came; none where that was not heard.
ALTER TABLE attempt ADD COLUMN started_at INTEGER;
ALTER TABLE attempt ADD COLUMN first_step_at INTEGER;
