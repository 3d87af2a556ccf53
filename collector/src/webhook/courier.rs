//! The one task that sends webhooks: reads those that wait, lets the plan say which is next, and writes what came of each.
//! One that was being sent when the collector ended is sent once more after the next start.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::plan::Plan;
use super::schedule;
use super::send::{Failure, Sender};
use crate::clock::{Clock, UnixMillis};
use crate::metrics::Metrics;
use crate::queue::{Queue, StoreError, Tried, WaitingNotice, shown_receiver};

/// Pause after the store failed.
const ASK_AGAIN: Duration = Duration::from_secs(1);
/// The longest time without a look.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// What sending one takes.
pub(super) struct Tools {
    pub(super) queue: Queue,
    pub(super) sender: Sender,
    pub(super) clock: Clock,
    pub(super) metrics: Arc<Metrics>,
}

struct Courier {
    tools: Arc<Tools>,
    plan: Plan,
    /// The last that was read.
    read: u64,
    /// Each ends with its receiver, and with when it is due again.
    under_way: JoinSet<(WaitingNotice, Option<UnixMillis>)>,
}

/// `written` says that there may be new ones.
pub(super) async fn run(tools: Tools, written: Arc<Notify>, stop: CancellationToken) {
    let under_way = JoinSet::new();
    let mut courier = Courier { tools: Arc::new(tools), plan: Plan::default(), read: 0, under_way };
    loop {
        let pause = courier.look().await.unwrap_or_else(|error| {
            tracing::error!(%error, "webhooks that wait cannot be read");
            ASK_AGAIN
        });
        tokio::select! {
            () = stop.cancelled() => return,
            () = written.notified() => {}
            Some(ended) = courier.under_way.join_next() => courier.ended(ended, &stop),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

impl Courier {
    /// Sends what is due; until when there is nothing more to do.
    async fn look(&mut self) -> Result<Duration, StoreError> {
        for notice in self.tools.queue.store().notices_after(self.read).await? {
            self.read = notice.sequence;
            self.plan.put(notice);
        }
        let now = self.tools.clock.now();
        while let Some(notice) = self.plan.take(now) {
            self.under_way.spawn(deliver(Arc::clone(&self.tools), notice));
        }
        self.tools.metrics.webhooks_waiting.set(self.plan.len() as i64);
        Ok(self.plan.next_due().map_or(LOOK_EVERY, |due_at| (due_at - now).min(LOOK_EVERY)))
    }

    fn ended(
        &mut self,
        ended: Result<(WaitingNotice, Option<UnixMillis>), JoinError>,
        stop: &CancellationToken,
    ) {
        match ended {
            Ok((notice, again)) => {
                self.plan.ended(&notice.receiver());
                if let Some(due_at) = again {
                    self.plan.put(WaitingNotice { due_at, attempts: notice.attempts + 1, ..notice });
                }
            }
            // It would be sent by nobody any more; the next start reads all of them.
            Err(error) => {
                tracing::error!(%error, "a webhook was lost; stopping, so that the next start finds it again");
                stop.cancel();
            }
        }
    }
}

/// Sends one once and writes what came of it.
async fn deliver(tools: Arc<Tools>, notice: WaitingNotice) -> (WaitingNotice, Option<UnixMillis>) {
    let Some(body) = body_of(&tools, &notice).await else { return (notice, None) };
    let sent = tools.sender.send(notice.job, notice.url.clone(), body, tools.clock.now()).await;
    let now = tools.clock.now();
    let tried = judged(&notice, sent, now);
    tools.metrics.webhook(&tried);
    tell(&notice, &tried);
    keep(&tools, &notice, now, &tried).await;
    let again = if let Tried::Again { due_at, .. } = tried { Some(due_at) } else { None };
    (notice, again)
}

fn judged(notice: &WaitingNotice, sent: Result<(), Failure>, now: UnixMillis) -> Tried {
    match sent {
        Ok(()) => Tried::Delivered,
        Err(Failure::Final(error)) => Tried::GivenUp { error },
        Err(Failure::Passing(error)) => match schedule::again(notice.created_at, notice.attempts + 1, now) {
            Some(due_at) => Tried::Again { due_at, error },
            None => Tried::GivenUp { error },
        },
    }
}

fn tell(notice: &WaitingNotice, tried: &Tried) {
    let (job, receiver, attempts) = (notice.job, shown_receiver(&notice.url), notice.attempts + 1);
    match tried {
        Tried::Delivered => tracing::debug!(%job, receiver, attempts, "webhook delivered"),
        Tried::Again { error, .. } => tracing::debug!(%job, receiver, attempts, error, "webhook not taken"),
        Tried::GivenUp { error } => tracing::warn!(%job, receiver, attempts, error, "webhook given up"),
    }
}

/// Asks until the store answers. `None`: it need not be sent any more.
async fn body_of(tools: &Tools, notice: &WaitingNotice) -> Option<String> {
    loop {
        match tools.queue.store().notice_body(notice.sequence).await {
            Ok(body) => return body,
            Err(error) => rest(&error).await,
        }
    }
}

async fn keep(tools: &Tools, notice: &WaitingNotice, at: UnixMillis, tried: &Tried) {
    while let Err(error) = tools.queue.store().note_tried(notice.sequence, at, tried).await {
        rest(&error).await;
    }
}

async fn rest(error: &StoreError) {
    tracing::error!(%error, "what became of a webhook cannot be kept");
    tokio::time::sleep(ASK_AGAIN).await;
}
