//! Copies of the files that jobs have made, so that these outlive their backends: `outputs/<name>` in the place for files. The
//! queue writes with a job's end which are wanted; here they are made, one task for all, and forgotten again when they are too
//! old or too many. It changes no job.

mod copy;
mod keeper;

use std::ops::Range;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use comfyui::api::FileRef;
use futures_util::stream::BoxStream;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::copy::Tools;
use self::keeper::Keeper;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::files::{ContentError, Place};
use crate::fleet::Fleet;
use crate::lifecycle;
use crate::metrics::Metrics;
use crate::queue::{FileCopy, OUTPUT, Queue, StoreError};

/// The folder in the place for files.
const OUTPUTS: &str = "outputs";

/// How long copies are kept: the oldest are forgotten beyond so long, or so many bytes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Retention {
    /// `None`: however old.
    pub age: Option<Duration>,
    pub bytes: u64,
}

/// What has been copied. Of files that no job of the queue has made, and of those that are to be copied still, it knows nothing.
pub struct Archive {
    place: Place,
    queue: Queue,
    clock: Clock,
}

/// What [`Archive::start`] is given; `run.rs` has it all.
pub struct Parts {
    pub place: Place,
    pub queue: Queue,
    pub retention: Retention,
    pub clients: Clients,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

impl Archive {
    /// Makes the copies that are wanted, from now on.
    pub fn start(parts: Parts) -> Arc<Self> {
        let Parts { place, queue, retention, clients, fleet, clock, metrics, stop } = parts;
        let archive = Arc::new(Self { place, queue, clock });
        let (bytes, resting) = (retention.bytes, Mutex::default());
        let tools = Tools { archive: Arc::clone(&archive), clients, fleet, clock, metrics, bytes, resting };
        lifecycle::vital("archive", stop.clone(), Keeper::new(tools, retention).run(stop));
        archive
    }

    /// By the name that clients have for it.
    pub async fn find(&self, file: &FileRef) -> Result<Option<FileCopy>, StoreError> {
        if file.kind == OUTPUT { self.queue.store().copy_of(file).await } else { Ok(None) }
    }

    /// A part of it, to be read piece by piece.
    pub async fn stream(
        &self,
        copy: &FileCopy,
        part: Range<u64>,
    ) -> Result<BoxStream<'static, Result<Bytes, ContentError>>, ContentError> {
        self.place.stream(OUTPUTS, &copy.content, part).await
    }

    /// What it holds is no longer there: it is made once more.
    pub async fn lost(&self, file: &FileRef, copy: &FileCopy) {
        let again = self.queue.store().want_copy_again(file, copy, self.clock.now()).await;
        if let Err(error) = again {
            tracing::warn!(%error, "it could not be written that a copy is to be made again");
        }
    }

    pub async fn content(&self, copy: &FileCopy) -> Result<Bytes, ContentError> {
        self.place.read(OUTPUTS, &copy.content).await
    }
}
