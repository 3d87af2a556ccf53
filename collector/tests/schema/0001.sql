-- What a collector with the first schema left behind: a job that failed, one that succeeded at its second attempt, one
-- that waits.
INSERT INTO job VALUES
    ('00000000-0000-4000-8000-000000000001', 1, 1.0, 0, 'me', '127.0.0.1', '{}', zeroblob(32), 1000, 'ended', 1, 1, 'failed', 1900),
    ('00000000-0000-4000-8000-000000000002', 2, -2.0, 0, 'me', '127.0.0.1', '{}', zeroblob(32), 2000, 'ended', 2, 2, 'succeeded', 2950),
    ('00000000-0000-4000-8000-000000000003', 3, 7.5, 1, NULL, NULL, '{}', zeroblob(32), 3000, 'waiting', 0, 0, NULL, NULL);
INSERT INTO document VALUES
    ('00000000-0000-4000-8000-000000000001', '{}', '{"extra_pnginfo": {"workflow": {"id": 7}}}', NULL, '[]'),
    ('00000000-0000-4000-8000-000000000002', '{}', '{"extra_pnginfo": {"workflow": {"id": "w"}}}', '["9"]', '["9"]'),
    ('00000000-0000-4000-8000-000000000003', '{"1":  {}}', '{}', NULL, '[]');
INSERT INTO attempt VALUES
    ('00000000-0000-4000-8000-000000000001', 1, 'a', NULL, 1001, 1900, 'failed', 'free'),
    ('00000000-0000-4000-8000-000000000002', 1, 'a', 'theirs', 2001, 2050, 'gone', 'free'),
    ('00000000-0000-4000-8000-000000000002', 2, 'b', 'theirs', 2051, 2950, 'succeeded', 'free');
INSERT INTO result VALUES
    ('00000000-0000-4000-8000-000000000001', '{}',
     '{"messages": [["execution_start", {"timestamp": 1100}], ["execution_error", {"exception_type": "ValueError"}]]}', '{}'),
    ('00000000-0000-4000-8000-000000000002', '{"9": {"images": [{"filename": "a.png", "subfolder": "b", "type": "output"}]}}',
     '{"messages": [["execution_start", {"timestamp": 2100}], ["execution_success", {"timestamp": 2900}]]}', '{}');
