//! The one task that makes copies and forgets them.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio_util::sync::CancellationToken;

use super::copy::{Change, Halt, Tools};
use super::{OUTPUTS, Retention};
use crate::clock::UnixMillis;
use crate::id::BackendId;
use crate::limits;
use crate::queue::{HeldCopies, WantedCopy};

/// Between two looks for files to copy, and at most where nothing changes.
const LOOK_PAUSE: Duration = Duration::from_secs(1);
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Between two times that it is counted what waits, which may be much.
const COUNT_PAUSE: Duration = Duration::from_secs(1);
/// After one that failed: a file may have to be read from its backend once more.
const PAUSE_AFTER_FAILURE: Duration = Duration::from_secs(60);

pub(super) struct Keeper {
    tools: Tools,
    retention: Retention,
    /// `None`: not counted yet.
    held: Option<HeldCopies>,
    /// When it was last counted what waits.
    counted_at: Option<Instant>,
}

impl Keeper {
    pub(super) fn new(tools: Tools, retention: Retention) -> Self {
        Self { tools, retention, held: None, counted_at: None }
    }

    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut ledger = self.tools.archive.queue.ledger();
        let work = async {
            self.tools.archive.place.remove_cut_off(OUTPUTS, limits::UPLOAD_UNDER_WAY).await;
            loop {
                let done = self.look().await;
                if let Err(error) = &done {
                    tracing::warn!(%error, "files cannot be archived; it is tried again in a minute");
                }
                tokio::time::sleep(if done.is_ok() { LOOK_PAUSE } else { PAUSE_AFTER_FAILURE }).await;
                if let Ok(Err(_)) = tokio::time::timeout(LOOK_EVERY, ledger.changed()).await {
                    return;
                }
            }
        };
        stop.run_until_cancelled(work).await;
    }

    async fn look(&mut self) -> Result<(), Halt> {
        let held = match self.held {
            Some(held) => held,
            None => self.tools.store().held_copies().await?,
        };
        // Should this be left halfway it is counted anew.
        self.held = None;
        self.show(held).await?;
        // First: it makes room.
        let held = self.forget(held).await?;
        let held = self.make(held).await?;
        self.held = Some(held);
        self.counted_at = None;
        self.show(held).await
    }

    async fn show(&mut self, held: HeldCopies) -> Result<(), Halt> {
        if self.counted_at.is_none_or(|at| at.elapsed() >= COUNT_PAUSE) {
            self.tools.metrics.archived(held, self.tools.store().waiting_copies().await?);
            self.counted_at = Some(Instant::now());
        }
        Ok(())
    }

    /// All that are due: those of one backend one after the other, of some backends at once.
    async fn make(&mut self, mut held: HeldCopies) -> Result<HeldCopies, Halt> {
        loop {
            let wanted = self.tools.store().wanted_copies(self.tools.clock.now()).await?;
            if wanted.is_empty() {
                return Ok(held);
            }
            let mut by_backend: HashMap<BackendId, Vec<WantedCopy>> = HashMap::new();
            for wanted in wanted {
                by_backend.entry(wanted.backend.clone()).or_default().push(wanted);
            }
            let tools = &self.tools;
            let made = stream::iter(by_backend.into_values()).map(|wanted| tools.make_all(wanted));
            let changes: Vec<Change> = made.buffer_unordered(limits::COPIES_AT_ONCE).try_collect().await?;
            for Change { files, bytes } in changes {
                held.files = held.files.saturating_add_signed(files);
                held.bytes = held.bytes.saturating_add_signed(bytes);
            }
            held = self.forget(held).await?;
            self.show(held).await?;
        }
    }

    async fn forget(&self, mut held: HeldCopies) -> Result<HeldCopies, Halt> {
        loop {
            let (oldest, now) = (self.tools.store().oldest_copies().await?, self.tools.clock.now());
            for (file, copy) in &oldest {
                if !self.retention.expires(held, copy.copied_at, now) {
                    return Ok(held);
                }
                self.tools.archive.place.remove(OUTPUTS, &copy.content).await?;
                if self.tools.store().forget_copy(file, copy).await? {
                    held.files = held.files.saturating_sub(1);
                    held.bytes = held.bytes.saturating_sub(copy.size_bytes);
                }
            }
            if oldest.is_empty() {
                return Ok(held);
            }
        }
    }
}

impl Retention {
    /// Whether the oldest of them, which was made then, is to be forgotten.
    fn expires(self, held: HeldCopies, copied_at: UnixMillis, now: UnixMillis) -> bool {
        held.bytes > self.bytes || self.age.is_some_and(|age| now - copied_at > age)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_expires_by_its_age_or_by_the_bytes_of_all() {
        let held = |bytes| HeldCopies { files: 1, bytes };
        let age = Some(Duration::from_secs(10));
        for (retention, bytes, now, expires) in [
            (Retention { age: None, bytes: 100 }, 100, u64::MAX / 2, false),
            (Retention { age: None, bytes: 100 }, 101, 1, true),
            (Retention { age, bytes: 100 }, 1, 10_001, false),
            (Retention { age, bytes: 100 }, 1, 10_002, true),
        ] {
            assert_eq!(
                retention.expires(held(bytes), UnixMillis(1), UnixMillis(now)),
                expires,
                "{retention:?}"
            );
        }
    }
}
