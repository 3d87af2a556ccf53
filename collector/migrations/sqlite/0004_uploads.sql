CREATE TABLE upload_by_kind (
    -- input, output, temp
    kind TEXT NOT NULL,
    subfolder TEXT NOT NULL,
    name TEXT NOT NULL,
    sha256 BLOB NOT NULL,
    size_bytes INTEGER NOT NULL,
    PRIMARY KEY (kind, subfolder, name)
) STRICT, WITHOUT ROWID;
INSERT INTO upload_by_kind SELECT 'input', subfolder, name, sha256, size_bytes FROM upload;
DROP TABLE upload;
ALTER TABLE upload_by_kind RENAME TO upload;
