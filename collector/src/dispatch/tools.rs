//! What every command needs.

use std::sync::Arc;
use std::time::Duration;

use super::deliver::Delivered;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::files::Files;
use crate::id::{ClientId, JobId};
use crate::job::Change;
use crate::queue::{ChangeError, Queue};

/// Pause between attempts to write what must be written: nothing is told before it is.
const WRITE_AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Tools {
    pub queue: Queue,
    pub files: Arc<Files>,
    pub clients: Clients,
    pub delivered: Delivered,
    /// The name under which prompts are submitted, so that our sockets hear of them.
    pub client_id: ClientId,
    pub clock: Clock,
}

impl Tools {
    /// Tries until the store takes it. False: it was overtaken and is no longer legal, or the program is stopping.
    pub(super) async fn insist(&self, change: impl Fn() -> Change) -> bool {
        while let Err(error) = self.queue.change(change()).await {
            match error {
                ChangeError::Store(_) => tokio::time::sleep(WRITE_AGAIN).await,
                ChangeError::Illegal(_) | ChangeError::Stopping => {
                    tracing::debug!(%error, "a change came too late");
                    return false;
                }
            }
        }
        true
    }

    /// The same for a job's end. An earlier try whose answer was lost may have gone through.
    pub(super) async fn insist_on_end(&self, job: JobId, end: impl Fn() -> Change) -> bool {
        if self.insist(end).await {
            return true;
        }
        loop {
            match self.queue.store().ended(job).await {
                Ok(ended) => return ended.is_some(),
                Err(error) => tracing::debug!(%job, %error, "it cannot be read whether the job has ended"),
            }
            tokio::time::sleep(WRITE_AGAIN).await;
        }
    }
}
