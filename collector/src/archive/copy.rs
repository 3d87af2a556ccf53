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
use tokio::sync::watch;

use super::{Archive, OUTPUTS};
use crate::clients::Clients;
use crate::clock::{Clock, UnixMillis};
use crate::files::ContentError;
use crate::fleet::Fleet;
use crate::id::BackendId;
use crate::job::owner_of;
use crate::limits;
use crate::metrics::{Copied, Metrics};
use crate::queue::{FileCopy, Store, StoreError, WantedCopy};

pub(super) struct Tools {
    pub archive: Arc<Archive>,
    pub clients: Clients,
    pub fleet: watch::Receiver<Arc<Fleet>>,
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
    /// The backend is not to be reached at all, for all that is known.
    Backend(String),
    /// It is, but not this file.
    File(String),
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
    pub(super) async fn make_all(&self, wanted: Vec<WantedCopy>) -> Result<Change, Halt> {
        let mut all = Change::default();
        for wanted in &wanted {
            let Change { files, bytes } = self.make(wanted).await?;
            (all.files, all.bytes) = (all.files + files, all.bytes + bytes);
        }
        Ok(all)
    }

    /// Afterwards it is made, or due later, or given up.
    async fn make(&self, wanted: &WantedCopy) -> Result<Change, Halt> {
        if let Some(until) = self.rests_until(&wanted.backend) {
            self.store().postpone_copy(wanted, until).await?;
            return Ok(Change::default());
        }
        match self.fetch(wanted).await {
            Ok(copy) => self.keep(wanted, copy).await,
            Err(Failed::Halt(halt)) => Err(halt),
            Err(Failed::Never(reason)) => self.give_up(wanted, &reason).await,
            Err(Failed::Backend(reason)) => self.rest(wanted, &reason).await,
            Err(Failed::File(reason)) => self.postpone(wanted, &reason).await,
        }
    }

    /// The copy as it is among the contents now.
    async fn fetch(&self, wanted: &WantedCopy) -> Result<FileCopy, Failed> {
        let never = || Failed::Never("its backend is no longer in the fleet".to_owned());
        let (owner, there) = owner_of(&wanted.file).ok_or_else(never)?;
        let Some(client) = self.clients.get(&owner) else {
            // At a start all are known before each can be spoken to.
            let is_known = self.fleet.borrow().backends.iter().any(|backend| backend.id == owner);
            return Err(if is_known {
                Failed::Backend("it cannot be spoken to yet".to_owned())
            } else {
                never()
            });
        };
        let earlier = self.earlier(wanted).await?;
        let headers = earlier.and_then(|copy| condition(copy.etag.as_deref()?)).unwrap_or_default();
        let download = client.view(&there, None, None, headers).await.map_err(|error| refused(&error))?;
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
        let pieces =
            download.into_stream().map_err(|error| Failed::File(error.to_string())).and_then(|piece| {
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
        let is_kept = self.store().keep_copy(wanted, &copy).await?;
        let needless = if is_kept { earlier } else { Some(&copy) };
        if let Some(needless) = needless.filter(|_| is_new) {
            self.archive.place.remove(OUTPUTS, &needless.content).await?;
        }
        if !is_kept {
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
        match &wanted.earlier {
            Some(earlier) if self.store().give_up_copy(wanted).await? => {
                self.archive.place.remove(OUTPUTS, &earlier.content).await?;
                Ok(Change { files: -1, bytes: -earlier.size_bytes.cast_signed() })
            }
            Some(_) => Ok(Change::default()),
            None => self.store().give_up_copy(wanted).await.map(|_| Change::default()).map_err(Halt::from),
        }
    }

    async fn postpone(&self, wanted: &WantedCopy, reason: &str) -> Result<Change, Halt> {
        let now = self.clock.now();
        if now - wanted.wanted_at > limits::COPY_TRIED_FOR {
            return self.give_up(wanted, reason).await;
        }
        tracing::debug!(backend = %wanted.backend, file = shown(wanted), reason, "a file is archived later");
        self.metrics.copied(Copied::Failed);
        self.store().postpone_copy(wanted, now.after(limits::COPY_AGAIN_AFTER)).await?;
        Ok(Change::default())
    }

    /// It is asked for none of its files for a while; none of them can change meanwhile.
    async fn rest(&self, wanted: &WantedCopy, reason: &str) -> Result<Change, Halt> {
        tracing::debug!(backend = %wanted.backend, reason, "the files of a backend are archived later");
        self.metrics.copied(Copied::Failed);
        let due_at = self.clock.now().after(limits::BACKEND_AGAIN_AFTER);
        self.resting().insert(wanted.backend.clone(), due_at);
        self.store().postpone_copies(&wanted.backend, due_at).await?;
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

/// Before there was a content.
fn refused(error: &comfyui::Error) -> Failed {
    let reason = error.to_string();
    match error.cause {
        Cause::Status { status: 400 | 404 | 410, .. } => Failed::Never(reason),
        // What stands before it says that it is not there.
        Cause::Status { status: 502..=504, .. } => Failed::Backend(reason),
        Cause::Status { .. } => Failed::File(reason),
        _ => Failed::Backend(reason),
    }
}

fn condition(etag: &str) -> Option<HeaderMap> {
    Some(HeaderMap::from_iter([(IF_NONE_MATCH, HeaderValue::from_str(etag).ok()?)]))
}

/// The same for the same file, so that what was written before its row was is written over; no other's, ever.
fn name(wanted: &WantedCopy) -> String {
    let file = Sha256::digest(format!("{}/{}", wanted.file.subfolder, wanted.file.filename));
    format!("{}-{}-{}", hexadecimal(&file), wanted.wanted_at.0, wanted.wants)
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
