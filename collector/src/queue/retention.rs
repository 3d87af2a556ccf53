//! How long ended jobs are remembered: the oldest-ended are forgotten beyond so many, so many bytes, or so long. A task of
//! its own looks for them and hands the writer a few at a time, so that no commit grows. Jobs that wait or run are never
//! meant: the store has no way to forget one.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ChangeError, Ledger, Queue};
use crate::clock::{Clock, UnixMillis};
use crate::id::JobId;
use crate::limits;

#[derive(Clone, Copy, Debug)]
pub struct Retention {
    pub jobs: u64,
    /// `None`: however old.
    pub age: Option<Duration>,
    /// Documents and results. The job that ended last is kept even where it alone is larger.
    pub bytes: u64,
}

/// All ended jobs together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    pub jobs: u64,
    pub bytes: u64,
}

/// What an ended job counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Remembered {
    pub id: JobId,
    pub ended_at: UnixMillis,
    pub bytes: u64,
}

impl Retention {
    /// Those to be forgotten among the oldest-ended, which are given in that order.
    fn expired(&self, mut held: Held, oldest: &[Remembered], now: UnixMillis) -> Vec<JobId> {
        let expired = oldest.iter().take_while(|job| {
            let is_too_old = self.age.is_some_and(|age| now - job.ended_at > age);
            let is_over = held.jobs > self.jobs || (held.bytes > self.bytes && held.jobs > 1);
            held.jobs = held.jobs.saturating_sub(1);
            held.bytes = held.bytes.saturating_sub(job.bytes);
            is_too_old || is_over
        });
        expired.map(|job| job.id).collect()
    }
}

/// Looks whenever jobs have changed, though not at every change, and now and then for what has grown old.
pub(super) async fn keep(
    queue: Queue,
    mut ledger: watch::Receiver<Arc<Ledger>>,
    retention: Retention,
    clock: Clock,
    stop: CancellationToken,
) {
    let work = async {
        loop {
            forget_all_expired(&queue, retention, clock).await;
            tokio::time::sleep(limits::HISTORY_LOOK_PAUSE).await;
            let changed = tokio::time::timeout(limits::HISTORY_LOOK_EVERY, ledger.changed()).await;
            if let Ok(Err(_)) = changed {
                return;
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

async fn forget_all_expired(queue: &Queue, retention: Retention, clock: Clock) {
    loop {
        match forget_some(queue, retention, clock.now()).await {
            Ok(limits::HISTORY_TRIM_STEP) => {}
            Ok(_) => return,
            Err(error) => {
                tracing::warn!(%error, "ended jobs that are to be forgotten could not be; it is tried again");
                return;
            }
        }
    }
}

/// How many were forgotten.
async fn forget_some(queue: &Queue, retention: Retention, now: UnixMillis) -> Result<usize, ChangeError> {
    let store = queue.store();
    let held = store.held().await.map_err(Arc::new)?;
    let oldest = store.oldest_ended(limits::HISTORY_TRIM_STEP as u64, None).await.map_err(Arc::new)?;
    let expired = retention.expired(held, &oldest, now);
    let forgotten = expired.len();
    if forgotten > 0 {
        queue.forget(expired, None).await?;
        tracing::debug!(forgotten, "ended jobs were forgotten");
    }
    Ok(forgotten)
}

#[cfg(test)]
mod tests {
    use super::*;

    const UNBOUNDED: Retention = Retention { jobs: u64::MAX, age: None, bytes: u64::MAX };

    /// Ended at 0, 1000, 2000, ...; ten bytes each.
    fn expired(retention: Retention, jobs: u64, now: u64) -> usize {
        let one = |at| Remembered { id: JobId::random(), ended_at: UnixMillis(at * 1000), bytes: 10 };
        let oldest: Vec<Remembered> = (0..jobs).map(one).collect();
        let expired = retention.expired(Held { jobs, bytes: jobs * 10 }, &oldest, UnixMillis(now));
        let begins = oldest.iter().zip(&expired).all(|(job, id)| job.id == *id);
        assert!(begins, "the oldest-ended, in their order");
        expired.len()
    }

    #[test]
    fn each_bound_forgets_no_more_than_it_must() {
        let age = Some(Duration::from_secs(2));
        for (retention, jobs, forgotten) in [
            (UNBOUNDED, 5, 0),
            (Retention { jobs: 5, ..UNBOUNDED }, 5, 0),
            (Retention { jobs: 3, ..UNBOUNDED }, 5, 2),
            (Retention { bytes: 50, ..UNBOUNDED }, 5, 0),
            (Retention { bytes: 49, ..UNBOUNDED }, 5, 1),
            (Retention { bytes: 25, ..UNBOUNDED }, 5, 3),
            (Retention { bytes: 5, ..UNBOUNDED }, 5, 4),
            (Retention { bytes: 5, ..UNBOUNDED }, 1, 0),
            (Retention { age, ..UNBOUNDED }, 5, 2),
            (Retention { age, jobs: 1, bytes: 45 }, 5, 4),
            (Retention { jobs: 3, ..UNBOUNDED }, 0, 0),
        ] {
            assert_eq!(expired(retention, jobs, 4000), forgotten, "{retention:?} of {jobs}");
        }
    }
}
