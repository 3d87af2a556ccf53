//! Files that clients uploaded, of all three types, kept by content: `uploads/<sha256>` in the place for files, and in the
//! store which name stands for which content. Names follow ComfyUI's rules across the whole fleet. Knows nothing of jobs or backends.

mod name;
mod place;

use std::collections::{HashMap, HashSet};
use std::ops::Range;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use comfyui::api::FileRef;
use futures_util::stream::BoxStream;
use sha2::{Digest, Sha256};
use tokio::sync::Mutex;

pub use self::name::{BadName, checked, inside};
pub use self::place::{ContentError, Place, PlaceError};
use crate::limits;
use crate::queue::{Store, StoreError, Upload};

/// The folder in the place for files.
const UPLOADS: &str = "uploads";

pub struct Files {
    place: Place,
    store: Arc<dyn Store>,
    index: RwLock<HashMap<FileRef, Upload>>,
    /// One upload names itself at a time, so that two of one name cannot both find it free.
    naming: Mutex<()>,
}

#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    #[error(transparent)]
    Name(#[from] BadName),
    #[error("the collector keeps at most {count} uploaded files of {bytes} bytes in all; stop it, remove some from {place}, \
             and start it again", count = limits::UPLOADED_FILES, bytes = limits::UPLOADED_BYTES)]
    Full { place: String },
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error("cannot write into {place}: {source}")]
    Write { place: String, source: Box<ContentError> },
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Files {
    /// `shared`: other collectors may be writing there meanwhile.
    pub async fn open(place: Place, shared: bool, store: Arc<dyn Store>) -> Result<Self, FilesError> {
        let uploads = store.uploads().await?;
        let spared = if shared { limits::UPLOAD_UNDER_WAY } else { Duration::ZERO };
        place.remove_cut_off(UPLOADS, spared).await;
        let listed = place.list(UPLOADS).await?;
        let named: HashSet<String> = uploads.iter().map(|upload| name_of(&upload.sha256)).collect();
        let files = Self { place, store, index: RwLock::default(), naming: Mutex::default() };
        // Content that no name stands for; not what was written just now.
        let unnamed = listed.iter().filter(|(name, content)| !named.contains(*name) && content.age >= spared);
        for (name, _) in unnamed {
            files.remove(name).await;
        }
        let kept = uploads.into_iter().filter(|upload| listed.contains_key(&name_of(&upload.sha256)));
        let kept = kept.map(|upload| (upload.file.clone(), upload)).collect();
        *files.index.write().unwrap_or_else(PoisonError::into_inner) = kept;
        Ok(files)
    }

    /// Whether uploads can be kept there.
    pub async fn can_be_kept(place: &Place) -> Result<(), FilesError> {
        Ok(place.can_be_used(UPLOADS).await?)
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

    /// A part of it, to be read piece by piece.
    pub async fn stream(
        &self,
        sha256: &[u8; 32],
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, ContentError>>, ContentError> {
        self.place.stream(UPLOADS, &name_of(sha256), part).await
    }

    pub async fn content(&self, sha256: &[u8; 32]) -> Result<Bytes, ContentError> {
        self.place.read(UPLOADS, &name_of(sha256)).await
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
        let written = self.place.write(UPLOADS, &name_of(&sha256), content).await;
        written.map_err(|source| FilesError::Write {
            place: self.place.to_string(),
            source: Box::new(source),
        })?;
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
            self.remove(&name_of(sha256)).await;
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
        fits.then_some(()).ok_or_else(|| FilesError::Full { place: self.place.to_string() })
    }

    /// A content that stays only takes room; the next start removes it.
    async fn remove(&self, name: &str) {
        if let Err(error) = self.place.remove(UPLOADS, name).await {
            tracing::warn!(name, %error, "a file that is no longer needed cannot be removed");
        }
    }
}

/// Of each upload whether its content is there in full.
pub(crate) async fn are_there(place: &Place, uploads: &[Upload]) -> Result<Vec<bool>, PlaceError> {
    let listed = place.list(UPLOADS).await?;
    let is_there = |upload: &Upload| {
        listed.get(&name_of(&upload.sha256)).is_some_and(|content| content.size_bytes == upload.size_bytes)
    };
    Ok(uploads.iter().map(is_there).collect())
}

/// Its content, into another place.
pub(crate) async fn copy(upload: &Upload, from: &Place, to: &Place) -> Result<(), ContentError> {
    from.copy_to(to, UPLOADS, &name_of(&upload.sha256)).await
}

fn name_of(sha256: &[u8; 32]) -> String {
    sha256.iter().map(|byte| format!("{byte:02x}")).collect()
}
