//! Files that clients uploaded, of all three types, kept by content: `uploads/<sha256>` in the state directory, and in the
//! store which name stands for which content. Names follow ComfyUI's rules across the whole fleet. Knows nothing of jobs or backends.

mod name;

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use comfyui::api::FileRef;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub use self::name::{BadName, checked, inside};
use crate::limits;
use crate::queue::{Store, StoreError, Upload};

/// The folder in the state directory.
const UPLOADS: &str = "uploads";

pub struct Files {
    directory: PathBuf,
    store: Arc<dyn Store>,
    index: RwLock<HashMap<FileRef, Upload>>,
    /// One upload names itself at a time, so that two of one name cannot both find it free.
    naming: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("the collector keeps at most {count} uploaded files of {bytes} bytes in all; stop it, remove some from {directory}, \
             and start it again", count = limits::UPLOADED_FILES, bytes = limits::UPLOADED_BYTES)]
    Full { directory: PathBuf },
    #[error(
        "cannot write into {directory}: {source}; see that it is mounted and that this user may write there, or name another with --files-directory"
    )]
    NoPlace { directory: PathBuf, source: std::io::Error },
    #[error("cannot {operation} {path}: {source}")]
    Disk { operation: &'static str, path: PathBuf, source: std::io::Error },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Files {
    /// The folder for uploads is made in `within`, the collector's own directory or one that several share.
    pub async fn open(within: &Path, shared: bool, store: Arc<dyn Store>) -> Result<Self, FilesError> {
        let directory = within.join(UPLOADS);
        let made = tokio::fs::create_dir_all(&directory).await;
        made.map_err(|source| FilesError::Disk { operation: "create", path: directory.clone(), source })?;
        let uploads = store.uploads().await?;
        let files = Self { directory, store, index: RwLock::default(), naming: Mutex::default() };
        let named: HashSet<PathBuf> = uploads.iter().map(|upload| files.path_of(&upload.sha256)).collect();
        let spared = if shared { limits::UPLOAD_UNDER_WAY } else { Duration::ZERO };
        files.remove_but(&named, spared).await;
        let mut kept = HashMap::new();
        for upload in uploads {
            let path = files.path_of(&upload.sha256);
            let is_there = tokio::fs::try_exists(&path).await;
            if is_there.map_err(|source| FilesError::Disk { operation: "look at", path, source })? {
                kept.insert(upload.file.clone(), upload);
            }
        }
        *files.index.write().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(files)
    }

    /// Whether files can be kept in `within`, by one that is written and removed.
    pub async fn can_be_kept(within: &Path) -> Result<(), FilesError> {
        let directory = within.join(UPLOADS);
        let tried = directory.clone();
        let written = tokio::task::spawn_blocking(move || {
            std::fs::create_dir_all(&tried)?;
            tempfile::NamedTempFile::new_in(&tried).map(drop)
        });
        let written = written.await.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        written.map_err(|source| FilesError::NoPlace { directory, source })
    }

    /// Content that no name stands for, and what an interrupted write left; not what was written just now.
    async fn remove_but(&self, named: &HashSet<PathBuf>, spared: Duration) {
        let Ok(mut entries) = tokio::fs::read_dir(&self.directory).await else { return };
        while let Ok(Some(entry)) = entries.next_entry().await {
            if !named.contains(&entry.path()) && is_older(&entry, spared).await {
                remove(&entry.path()).await;
            }
        }
    }

    /// By the name that a client asks for, in whatever form it writes the subfolder.
    pub fn find_named(&self, file: &FileRef) -> Option<Upload> {
        name::checked(file).ok().and_then(|file| self.find(&file))
    }

    pub fn find(&self, file: &FileRef) -> Option<Upload> {
        self.index.read().unwrap_or_else(PoisonError::into_inner).get(file).cloned()
    }

    pub fn contains(&self, file: &FileRef) -> bool {
        self.index.read().unwrap_or_else(PoisonError::into_inner).contains_key(file)
    }

    /// To be read piece by piece.
    pub async fn open_content(&self, sha256: &[u8; 32]) -> std::io::Result<tokio::fs::File> {
        tokio::fs::File::open(self.path_of(sha256)).await
    }

    pub async fn content(&self, sha256: &[u8; 32]) -> std::io::Result<Bytes> {
        tokio::fs::read(self.path_of(sha256)).await.map(Bytes::from)
    }

    /// Keeps a file durably and says under which name: the asked one, or one with a number where that is taken by
    /// other content and `overwrite` is not set.
    pub async fn keep(
        &self,
        asked: &FileRef,
        overwrite: bool,
        content: Bytes,
    ) -> Result<FileRef, FilesError> {
        let asked = name::checked(asked)?;
        let (sha256, size_bytes) = (Sha256::digest(&content).into(), content.len() as u64);
        let _naming = self.naming.lock().await;
        let same = |file: &FileRef| self.find(file).is_some_and(|known| known.sha256 == sha256);
        let file = match overwrite || same(&asked) {
            true => asked,
            false => name::numbered(&asked)
                .find(|file| !self.contains(file) || same(file))
                .unwrap_or_else(|| asked.clone()),
        };
        if same(&file) {
            return Ok(file);
        }
        self.check_room(size_bytes)?;
        self.write(&sha256, content).await?;
        let upload = Upload { file: file.clone(), sha256, size_bytes };
        self.store.keep_upload(&upload).await?;
        let replaced =
            self.index.write().unwrap_or_else(PoisonError::into_inner).insert(file.clone(), upload);
        if let Some(replaced) = replaced {
            self.remove_if_unnamed(&replaced.sha256).await;
        }
        Ok(file)
    }

    async fn remove_if_unnamed(&self, sha256: &[u8; 32]) {
        if !self.is_named(sha256) {
            remove(&self.path_of(sha256)).await;
        }
    }

    fn is_named(&self, sha256: &[u8; 32]) -> bool {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        index.values().any(|upload| upload.sha256 == *sha256)
    }

    fn check_room(&self, size_bytes: u64) -> Result<(), FilesError> {
        let index = self.index.read().unwrap_or_else(PoisonError::into_inner);
        let kept: u64 = index.values().map(|upload| upload.size_bytes).sum();
        let fits =
            index.len() < limits::UPLOADED_FILES && kept.saturating_add(size_bytes) <= limits::UPLOADED_BYTES;
        fits.then_some(()).ok_or_else(|| FilesError::Full { directory: self.directory.clone() })
    }

    fn path_of(&self, sha256: &[u8; 32]) -> PathBuf {
        self.directory.join(name_of(sha256))
    }

    /// Under a temporary name first: a file under its final name is always whole, also after a power cut.
    async fn write(&self, sha256: &[u8; 32], content: Bytes) -> Result<(), FilesError> {
        let path = self.path_of(sha256);
        let directory = self.directory.clone();
        let target = path.clone();
        let written = tokio::task::spawn_blocking(move || write_whole(&directory, &target, &content)).await;
        let written = written.unwrap_or_else(|e| Err(std::io::Error::other(e)));
        written.map_err(|source| FilesError::Disk { operation: "write", path, source })
    }
}

async fn is_older(entry: &tokio::fs::DirEntry, than: Duration) -> bool {
    let changed = entry.metadata().await.and_then(|metadata| metadata.modified());
    than.is_zero() || changed.is_ok_and(|changed| changed.elapsed().is_ok_and(|age| age > than))
}

fn name_of(sha256: &[u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Where the content lies in a state directory.
pub(crate) fn path_of(state_directory: &Path, sha256: &[u8; 32]) -> PathBuf {
    state_directory.join(UPLOADS).join(name_of(sha256))
}

/// Into another state directory, under the same name.
pub(crate) fn copy(file: &Path, state_directory: &Path) -> std::io::Result<()> {
    let directory = state_directory.join(UPLOADS);
    std::fs::create_dir_all(&directory)?;
    std::fs::copy(file, directory.join(file.file_name().unwrap_or_default())).map(drop)
}

/// A file that stays only takes room; the next start removes it.
async fn remove(path: &Path) {
    if let Err(error) = tokio::fs::remove_file(path).await {
        tracing::warn!(path = %path.display(), %error, "a file that is no longer needed cannot be removed");
    }
}

fn write_whole(directory: &Path, target: &Path, content: &[u8]) -> std::io::Result<()> {
    use std::io::Write;
    let part = target.with_extension("part");
    let write = || {
        let mut file = std::fs::File::create(&part)?;
        file.write_all(content)?;
        file.sync_all()?;
        std::fs::rename(&part, target)?;
        std::fs::File::open(directory)?.sync_all()
    };
    // On a full disk it would take what room is left.
    write().inspect_err(|_| drop(std::fs::remove_file(&part)))
}
