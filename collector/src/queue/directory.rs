//! The state directory: nobody else's business, and one collector's at a time.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::error::{Error, Outcomes};

/// Prompts, and the keys that clients send with them, are nobody else's to read.
pub(super) fn create(directory: &Path) -> Outcomes<()> {
    let created = DirBuilder::new().recursive(true).mode(0o700).create(directory);
    created.map_err(|source| Error::Directory { path: directory.to_owned(), source })
}

/// Makes it where there is none, and holds it for as long as the file that is given is open.
pub(super) fn claim(directory: &Path) -> Outcomes<File> {
    create(directory)?;
    let path = directory.join("collector.lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path);
    let file = file.map_err(|e| Error::Open { path: path.clone(), reason: e.to_string() })?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(Error::InUse { path: directory.to_owned() }),
        Err(TryLockError::Error(e)) => Err(Error::Open { path, reason: e.to_string() }),
    }
}
