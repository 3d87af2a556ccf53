//! Reading one file, within a bound, and telling whether it has changed.

use std::fs::{File, Metadata};
use std::io::Read;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::{Error, Kind};
use crate::limits::FILE_BYTES;

/// What differs once a file was written or replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: (u64, u64),
    bytes: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    /// None where it cannot be had.
    pub(super) fn of(path: &Path) -> Option<Self> {
        std::fs::metadata(path).ok().map(Self::from)
    }
}

impl From<Metadata> for Stamp {
    fn from(file: Metadata) -> Self {
        Self {
            inode: (file.dev(), file.ino()),
            bytes: file.len(),
            modified: (file.mtime(), file.mtime_nsec()),
            changed: (file.ctime(), file.ctime_nsec()),
        }
    }
}

/// All that is in a file.
///
/// # Errors
/// It cannot be read, or is longer than 1 MiB.
pub fn read(kind: Kind, path: &Path) -> Result<Vec<u8>, Error> {
    let mut content = Vec::new();
    let file = File::open(path).and_then(|file| file.take(FILE_BYTES + 1).read_to_end(&mut content));
    file.map_err(|source| Error::Read { kind, path: path.to_owned(), source })?;
    if content.len() as u64 > FILE_BYTES {
        return Err(Error::TooLong { kind, path: path.to_owned() });
    }
    Ok(content)
}

/// The same, and a warning where users who have no business with it may read it too.
///
/// # Errors
/// As [`read`].
pub fn read_secret(kind: Kind, path: &Path) -> Result<Vec<u8>, Error> {
    let content = read(kind, path)?;
    if std::fs::metadata(path).is_ok_and(|file| file.mode() & 0o004 != 0) {
        let path = path.display();
        tracing::warn!(
            "every user of this machine may read {path}, which is secret; mend it by `chmod o= {path}`"
        );
    }
    Ok(content)
}
