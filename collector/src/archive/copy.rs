//! One file is copied: streamed from its backend into the place for files, never held as a whole.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use comfyui::Cause;
use comfyui::client::Download;
use futures_util::TryStreamExt;
use reqwest::StatusCode;
use reqwest::header::{ETAG, HeaderMap, HeaderValue, IF_NONE_MATCH};
use sha2::{Digest, Sha256};

use super::{Archive, OUTPUTS};
use crate::clients::Clients;
use crate::clock::{Clock, UnixMillis};
use crate::files::ContentError;
use crate::id::BackendId;
use crate::job::owner_of;
use crate::limits;
use crate::metrics::{Copied, Metrics};
use crate::queue::{FileCopy, Store, StoreError, WantedCopy};

pub(super) struct Tools {
    pub archive: Arc<Archive>,
    pub clients: Clients,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    /// No file may have more.
    pub bytes: u64,
    /// Backends that could not be reached, and until when none is asked again.
    pub resting: Mutex<HashMap<BackendId, UnixMillis>>,
}

/// What keeps all copies from being made, not this one alone.
#[derive(Debug, thiserror::Error)]
pub(super) enum Halt {
    #[error("{0}")]
    Store(#[from] StoreError),
    #[error("the place for files fails: {0}")]
    Content(#[from] ContentError),
}

/// What kept one from being made.
enum Failed {
    Halt(Halt),
    Backend(comfyui::Error),
    /// There is nothing to be copied, and will not be.
    Never(String),
}

/// What a copy that was made has added, and what went with the one before.
#[derive(Default)]
pub(super) struct Change {
    pub files: i64,
    pub bytes: i64,
}

impl Tools {
    /// Afterwards it is made, or due later, or given up.
    pub(super) async fn make(&self, wanted: &WantedCopy) -> Result<Change, Halt> {
        if let Some(until) = self.rests_until(&wanted.backend) {
            self.store().postpone_copy(wanted, until).await?;
            return Ok(Change::default());
        }
        match self.fetch(wanted).await {
            Ok(copy) => self.keep(wanted, copy).await,
            Err(Failed::Halt(halt)) => Err(halt),
            Err(Failed::Never(reason)) => self.give_up(wanted, &reason).await,
            Err(Failed::Backend(error)) => match error.cause {
                Cause::Status { status: 400..500, .. } => self.give_up(wanted, &error.to_string()).await,
                _ => self.postpone(wanted, &error).await,
            },
        }
    }

    /// The copy as it is among the contents now.
    async fn fetch(&self, wanted: &WantedCopy) -> Result<FileCopy, Failed> {
        let known =
            owner_of(&wanted.file).and_then(|(owner, there)| Some((self.clients.get(&owner)?, there)));
        let Some((client, there)) = known else {
            return Err(Failed::Never("its backend is no longer in the fleet".to_owned()));
        };
        let earlier = self.earlier(wanted).await?;
        let headers = earlier.and_then(|copy| condition(copy.etag.as_deref()?)).unwrap_or_default();
        let download = client.view(&there, None, None, headers).await.map_err(Failed::Backend)?;
        match earlier {
            Some(copy) if download.status == StatusCode::NOT_MODIFIED => Ok(copy.clone()),
            _ => self.write(wanted, download).await,
        }
    }

    /// What was copied under this name before, if it is still there.
    async fn earlier<'w>(&self, wanted: &'w WantedCopy) -> Result<Option<&'w FileCopy>, Failed> {
        let Some(copy) = &wanted.earlier else { return Ok(None) };
        match self.archive.place.size_bytes(OUTPUTS, &copy.content).await {
            Ok(size_bytes) => Ok(Some(copy).filter(|copy| copy.size_bytes == size_bytes)),
            Err(ContentError::NotFound { .. }) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    async fn write(&self, wanted: &WantedCopy, download: Download) -> Result<FileCopy, Failed> {
        let etag = download.headers.get(ETAG).and_then(|etag| etag.to_str().ok()).map(str::to_owned);
        let (content, mut sha256, mut size_bytes) = (name(wanted), Sha256::new(), 0);
        let pieces = download.into_stream().map_err(Failed::Backend).and_then(|piece| {
            sha256.update(&piece);
            size_bytes += piece.len() as u64;
            let too_long =
                || Failed::Never(format!("it has more than the {} bytes of archive_bytes", self.bytes));
            std::future::ready(if size_bytes <= self.bytes { Ok(piece) } else { Err(too_long()) })
        });
        self.archive.place.write_all(OUTPUTS, &content, pin!(pieces)).await?;
        let sha256 = hexadecimal(&sha256.finalize());
        Ok(FileCopy { content, sha256, size_bytes, etag, copied_at: self.clock.now() })
    }

    async fn keep(&self, wanted: &WantedCopy, copy: FileCopy) -> Result<Change, Halt> {
        let earlier = wanted.earlier.as_ref();
        let is_new = earlier.is_none_or(|earlier| earlier.content != copy.content);
        if let Some(earlier) = earlier.filter(|_| is_new) {
            // Nobody is shown it any more. Before the row forgets its name.
            self.archive.place.remove(OUTPUTS, &earlier.content).await?;
        }
        if !self.store().keep_copy(wanted, &copy).await? {
            if is_new {
                self.archive.place.remove(OUTPUTS, &copy.content).await?;
            }
            return Ok(Change::default());
        }
        self.metrics.copied(if is_new { Copied::Made } else { Copied::Unchanged });
        let before = earlier.map_or(0, |earlier| earlier.size_bytes);
        Ok(Change {
            files: i64::from(earlier.is_none()),
            bytes: copy.size_bytes.cast_signed() - before.cast_signed(),
        })
    }

    async fn give_up(&self, wanted: &WantedCopy, reason: &str) -> Result<Change, Halt> {
        tracing::warn!(backend = %wanted.backend, file = shown(wanted), reason, "a file will not be archived");
        self.metrics.copied(Copied::GivenUp);
        let mut change = Change::default();
        if let Some(earlier) = &wanted.earlier {
            self.archive.place.remove(OUTPUTS, &earlier.content).await?;
            change = Change { files: -1, bytes: -earlier.size_bytes.cast_signed() };
        }
        self.store().give_up_copy(wanted).await?;
        Ok(change)
    }

    /// What keeps one file from being read may keep this one only; a backend that cannot be reached keeps all of its files.
    async fn postpone(&self, wanted: &WantedCopy, error: &comfyui::Error) -> Result<Change, Halt> {
        let now = self.clock.now();
        if now - wanted.wanted_at > limits::COPY_TRIED_FOR {
            return self.give_up(wanted, &error.to_string()).await;
        }
        tracing::debug!(backend = %wanted.backend, file = shown(wanted), %error, "a file is archived later");
        self.metrics.copied(Copied::Failed);
        let due_at = now.after(limits::COPY_AGAIN_AFTER);
        match error.cause {
            Cause::Status { .. } => self.store().postpone_copy(wanted, due_at).await?,
            _ => {
                self.resting().insert(wanted.backend.clone(), due_at);
                self.store().postpone_copies(&wanted.backend, due_at).await?;
            }
        }
        Ok(Change::default())
    }

    /// One that hangs must not hold up the files of the others.
    fn rests_until(&self, backend: &BackendId) -> Option<UnixMillis> {
        let now = self.clock.now();
        let mut resting = self.resting();
        resting.retain(|_, until| *until > now);
        resting.get(backend).copied()
    }

    fn resting(&self) -> MutexGuard<'_, HashMap<BackendId, UnixMillis>> {
        self.resting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn store(&self) -> &dyn Store {
        self.archive.queue.store()
    }
}

impl From<ContentError> for Failed {
    fn from(error: ContentError) -> Self {
        Self::Halt(error.into())
    }
}

fn condition(etag: &str) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(etag).ok()?)]))
}

/// The same for the same file, so that what a copy which was cut off has left is written over.
fn name(wanted: &WantedCopy) -> String {
    let file = Sha256::digest(format!("{}/{}", wanted.file.subfolder, wanted.file.filename));
    format!("{}-{}", hexadecimal(&file), wanted.wants)
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn shown(wanted: &WantedCopy) -> String {
    format!("{}/{}", wanted.file.subfolder, wanted.file.filename)
}
