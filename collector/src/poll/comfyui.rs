//! Asks one ComfyUI's HTTP routes on schedule.

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::QueueState;
use comfyui::object_info::ObjectInfo;
use comfyui::{Cause, Client, Error};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::watch;

use super::Poller;
use super::ear::Ear;
use super::schedule::{Ask, Schedule};
use crate::fleet::models::Folders;
use crate::fleet::{Backlog, Catalog, Failure, Models, Seen};
use crate::limits;
use crate::metrics::Polled;

/// How often `/queue` is read at most while its count keeps moving.
const QUEUE_PAUSE: Duration = Duration::from_secs(2);
/// Model folders that are listed at the same time: a server that loads a model answers late, and its count waits.
const FOLDERS_AT_ONCE: usize = 8;

/// What is remembered from one answer to the next.
#[derive(Default)]
struct Last {
    backlog: Option<Backlog>,
    catalog: Option<Arc<Catalog>>,
    models: Option<Arc<Models>>,
    queue_read_at: crate::clock::UnixMillis,
}

pub(super) async fn poll(poller: Poller, ear: Arc<watch::Sender<Ear>>) {
    let (mut schedule, mut last) = (Schedule::default(), Last::default());
    loop {
        let (ask, at) = schedule.next();
        tokio::time::sleep(at - poller.clock.now()).await;
        let began = poller.clock.now();
        let answer = perform(&poller, &mut last, ask).await;
        let now = poller.clock.now();
        poller.metrics.polled(&poller.backend, Polled::Comfyui, now - began, answer.is_ok());
        let seen = match answer {
            Ok(seen) => {
                if let Seen::Backlog(backlog) = &seen {
                    ear.send_if_modified(|ear| {
                        ear.counted(backlog.total, began, now);
                        ear.is_deaf()
                    });
                }
                schedule.answered(ask, now, &poller.intervals);
                Some(seen)
            }
            Err(error) => {
                schedule.failed(ask, now, &poller.intervals);
                failure(&poller, &mut last, ask, error)
            }
        };
        if let Some(seen) = seen
            && !poller.observe(seen).await
        {
            return;
        }
    }
}

/// Only the count tells whether a backend is up: node classes of many megabytes may well take too long for once.
fn failure(poller: &Poller, last: &mut Last, ask: Ask, error: Error) -> Option<Seen> {
    match ask {
        Ask::Count => {
            *last = Last { catalog: last.catalog.take(), models: last.models.take(), ..Last::default() };
            Some(Seen::Failed(Failure::from(error)))
        }
        Ask::ObjectInfo => Some(Seen::CatalogUnreadable(error.to_string())),
        Ask::Stats | Ask::Models => {
            tracing::debug!(backend = %poller.backend, %error, "its figures or model files cannot be read");
            None
        }
    }
}

async fn perform(poller: &Poller, last: &mut Last, ask: Ask) -> Result<Seen, Error> {
    match ask {
        Ask::Count => backlog(poller, last).await.map(Seen::Backlog),
        Ask::Stats => poller.client.system_stats().await.map(Box::new).map(Seen::Stats),
        Ask::ObjectInfo => catalog(poller, last).await.map(Seen::Catalog),
        Ask::Models => models(poller, last).await.map(Seen::Models),
    }
}

async fn backlog(poller: &Poller, last: &mut Last) -> Result<Backlog, Error> {
    let total = poller.client.queue_remaining().await?.exec_info.queue_remaining;
    let known = last.backlog.filter(|backlog| backlog.total == total && backlog.foreign.is_some());
    let backlog = match known {
        Some(backlog) => backlog,
        None if total == 0 => Backlog { total, foreign: Some(0) },
        None if poller.clock.now() - last.queue_read_at < QUEUE_PAUSE => Backlog { total, foreign: None },
        None => {
            last.queue_read_at = poller.clock.now();
            count(&poller.client.queue().await?, poller.client_id.as_str())
        }
    };
    last.backlog = Some(backlog);
    Ok(backlog)
}

/// ComfyUI keeps the submitter's `client_id` in each item's `extra_data`.
fn count(queue: &QueueState, ours: &str) -> Backlog {
    let items = || queue.queue_running.iter().chain(&queue.queue_pending);
    let client_of = |item: &comfyui::api::QueueItem| item.extra_data.get("client_id").cloned();
    let foreign =
        items().filter(|item| client_of(item).as_ref().and_then(|id| id.as_str()) != Some(ours)).count();
    Backlog { total: items().count() as u64, foreign: Some(foreign as u64) }
}

/// The document is parsed only when its bytes have changed; parsing megabytes is kept off the async threads.
async fn catalog(poller: &Poller, last: &mut Last) -> Result<Arc<Catalog>, Error> {
    let bytes = poller.client.object_info_bytes().await?;
    let known = last.catalog.clone();
    let parsed = tokio::task::spawn_blocking(move || {
        let sha256: [u8; 32] = Sha256::digest(&bytes).into();
        match known.filter(|catalog| catalog.sha256 == sha256) {
            Some(catalog) => Ok(catalog),
            None => comfyui::from_slice::<ObjectInfo>(&bytes)
                .map(|document| Arc::new(Catalog::new(document, sha256))),
        }
    });
    let parsed = parsed.await.map_err(|e| e.to_string()).and_then(|parsed| parsed.map_err(|e| e.to_string()));
    let catalog = parsed.map_err(|reason| Error {
        operation: "read the node classes",
        backend: poller.client.backend().to_owned(),
        cause: Cause::Document(reason),
    })?;
    last.catalog = Some(Arc::clone(&catalog));
    Ok(catalog)
}

/// Lists that have not changed are kept as they are, so that snapshots share them.
async fn models(poller: &Poller, last: &mut Last) -> Result<Arc<Models>, Error> {
    let (folders, embeddings) = tokio::try_join!(folders(&poller.client), poller.client.embeddings())?;
    let read = Models { folders, embeddings };
    let known = last.models.take().filter(|known| **known == read);
    let models = known.unwrap_or_else(|| Arc::new(read));
    last.models = Some(Arc::clone(&models));
    Ok(models)
}

/// `None` from a server of 2024, which has no such route.
async fn folders(client: &Client) -> Result<Option<Folders>, Error> {
    let names = match client.models(None).await {
        Err(Error { cause: Cause::Status { status: 404, .. }, .. }) => return Ok(None),
        names => names?,
    };
    let files = names.into_iter().take(limits::MODEL_FOLDERS).map(|folder| async move {
        let files = client.models(Some(&folder)).await?;
        Ok((folder, files))
    });
    stream::iter(files).buffered(FOLDERS_AT_ONCE).try_collect().await.map(Some)
}
