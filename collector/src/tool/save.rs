//! What jobs put out, as files in a directory of this machine: each whole or not at all, and none over another.

mod path;

use std::fs::{self, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use comfyui::Client;
use comfyui::api::FileRef;
use tempfile::{Builder, NamedTempFile};

use self::path::{below, numbered};
use super::ending::ClientError;
use crate::limits;

/// Where files are saved.
pub(super) struct Directory {
    path: PathBuf,
}

/// Why a file was not saved.
#[derive(Debug, thiserror::Error)]
pub(super) enum SaveError {
    #[error(transparent)]
    Download(#[from] comfyui::Error),
    #[error("cannot write {path}: {reason}")]
    Write { path: PathBuf, reason: io::Error },
    #[error("its name {0:?} is none for a file here")]
    Name(String),
    #[error("it is longer than {} GiB", limits::SAVED_FILE_BYTES >> 30)]
    TooLong,
    #[error("{} files of its name are there already", limits::SAME_NAMES)]
    TooMany,
}

impl Directory {
    /// Makes it where there is none.
    pub(super) fn open(path: &Path) -> Result<Self, ClientError> {
        let unusable = |reason| ClientError::File { path: path.to_owned(), reason };
        fs::create_dir_all(path).map_err(unusable)?;
        Ok(Self { path: path.to_owned() })
    }

    /// Fetches a file and gives the path at which it is. `backend` is the folder that the collector has put before its
    /// own, and is left out.
    pub(super) async fn save(
        &self,
        client: &Client,
        file: &FileRef,
        backend: Option<&str>,
    ) -> Result<PathBuf, SaveError> {
        let below = below(file, backend).ok_or_else(|| SaveError::Name(file.filename.clone()))?;
        let path = self.path.join(below);
        let folder = path.parent().unwrap_or(&self.path);
        let failed = |reason| SaveError::Write { path: path.clone(), reason };
        fs::create_dir_all(folder).map_err(failed)?;
        // As any new file: what this process may give away is the umask's to say.
        let permissions = Permissions::from_mode(0o666);
        let draft = Builder::new().prefix(".").suffix(".part").permissions(permissions).tempfile_in(folder);
        let mut draft = draft.map_err(failed)?;
        fetch(client, file, &mut draft, &path).await?;
        keep(draft, &path)
    }
}

async fn fetch(
    client: &Client,
    file: &FileRef,
    draft: &mut NamedTempFile,
    path: &Path,
) -> Result<(), SaveError> {
    let failed = |reason| SaveError::Write { path: path.to_owned(), reason };
    let (mut download, mut length_bytes) = (client.open_file(file).await?, 0);
    while let Some(piece) = download.chunk().await? {
        length_bytes += piece.len() as u64;
        if length_bytes > limits::SAVED_FILE_BYTES {
            return Err(SaveError::TooLong);
        }
        draft.write_all(&piece).map_err(failed)?;
    }
    draft.as_file().sync_all().map_err(failed)
}

/// Under the first name that is free: two programs that save at once each find their own.
fn keep(mut draft: NamedTempFile, path: &Path) -> Result<PathBuf, SaveError> {
    for number in 0..limits::SAME_NAMES {
        let path = numbered(path, number);
        match draft.persist_noclobber(&path) {
            Ok(_) => return Ok(path),
            Err(taken) if taken.error.kind() == io::ErrorKind::AlreadyExists => draft = taken.file,
            Err(failed) => return Err(SaveError::Write { path, reason: failed.error }),
        }
    }
    Err(SaveError::TooMany)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_kept_beside_those_of_its_name_and_leaves_no_draft() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.png");
        for (content, name) in [("1", "a.png"), ("2", "a (1).png"), ("3", "a (2).png")] {
            let mut draft = NamedTempFile::new_in(directory.path()).unwrap();
            draft.write_all(content.as_bytes()).unwrap();
            assert_eq!(keep(draft, &path).unwrap(), directory.path().join(name));
            assert_eq!(fs::read_to_string(directory.path().join(name)).unwrap(), content);
        }
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 3);
    }
}
