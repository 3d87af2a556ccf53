//! Durable intent. The queue alone changes jobs: every change passes through its one writer, which asks whether it is
//! legal, commits what has gathered as one transaction, and only then shows it in the ledger and answers.
//! It knows nothing of backends' state and speaks to none.

mod changed;
mod columns;
mod copies;
mod directory;
mod error;
mod ledger;
mod list;
mod listing;
mod notices;
mod postgres;
mod retention;
mod row;
mod sql;
mod sqlite;
mod store;
pub mod whole;
mod writer;

use std::sync::Arc;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

pub use self::changed::JobChanged;
pub use self::copies::{Copies, FileCopy, HeldCopies, Made, OUTPUT, WaitingCopies, Wanted, WantedCopy};
pub use self::error::Error as StoreError;
pub use self::ledger::{End, Ledger};
pub use self::listing::{Cursor, Filter, ListedJob, Sort, Window};
pub use self::notices::{Delivery, DeliveryState, Tried, WaitingNotice, shown_receiver};
pub use self::postgres::{Candidate, Leader, Postgres, Seen};
pub use self::retention::{Held, Remembered, Retention};
pub use self::sqlite::Sqlite;
pub use self::store::{AttemptRecord, Documents, EndedJob, Page, Store, Upload, Use, Write};
use self::writer::{Command, Told, Writer};
use crate::clock::Clock;
use crate::id::JobId;
use crate::job::{Change, Illegal, Place, Submission};
use crate::metrics::Metrics;
use crate::{lifecycle, limits};

#[derive(Debug, Clone, thiserror::Error)]
pub enum SubmitError {
    #[error("the queue holds {limit} jobs, which is its bound; try again later", limit = limits::LIVE_JOBS)]
    Full,
    #[error(
        "{limit} jobs of {owner} wait already, which is the bound of its token (max_waiting); try again when some have run"
    )]
    OwnerFull { owner: String, limit: usize },
    #[error("another prompt was already submitted under the id {0}")]
    Conflict(JobId),
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    #[error("the collector is stopping; submit again once it is back")]
    Stopping,
}

#[derive(Debug, Clone, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Illegal(Arc<Illegal>),
    #[error(transparent)]
    Store(#[from] Arc<StoreError>),
    #[error("the collector is stopping")]
    Stopping,
}

#[derive(Clone)]
pub struct Queue {
    commands: mpsc::Sender<Command>,
    ledger: watch::Receiver<Arc<Ledger>>,
    changes: broadcast::Sender<JobChanged>,
    ends: broadcast::Sender<JobId>,
    noticed: Arc<Notify>,
    store: Arc<dyn Store>,
}

impl Queue {
    /// Loads what waits and runs, and starts the writer, which ends once every handle is dropped, and the task that
    /// forgets ended jobs, which holds one until it is told to stop. `copies`: of which files is written with a
    /// job's end that they are wanted.
    pub async fn open(
        store: Arc<dyn Store>,
        retention: Retention,
        copies: Wanted,
        clock: Clock,
        metrics: Arc<Metrics>,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let loaded = Ledger::of(store.live().await?);
        let (commands, waiting) = mpsc::channel(limits::CHANGES_WAITING);
        let (publish, ledger) = watch::channel(Arc::new(loaded.clone()));
        let changes = broadcast::Sender::new(limits::CHANGES_TOLD);
        let ends = broadcast::Sender::new(limits::TRACES_WAITING);
        let noticed = Arc::new(Notify::new());
        let told =
            Told { publish, changes: changes.clone(), ends: ends.clone(), noticed: Arc::clone(&noticed) };
        let writer = Writer::new(Arc::clone(&store), loaded, copies, told, metrics);
        lifecycle::vital("queue", stop.clone(), writer.run(waiting));
        let queue = Self { commands, ledger, changes, ends, noticed, store };
        tokio::spawn(retention::keep(queue.clone(), queue.ledger(), retention, clock, stop));
        Ok(queue)
    }

    /// The jobs that wait or run now. A change of it is the wake-up of everything that works on the queue.
    pub fn ledger(&self) -> watch::Receiver<Arc<Ledger>> {
        self.ledger.clone()
    }

    /// What changes of jobs from now on, told after its commit. Whoever reads too slowly misses some, and is told so.
    pub fn changes(&self) -> broadcast::Receiver<JobChanged> {
        self.changes.subscribe()
    }

    /// The jobs that end from now on, told after the commit. Whoever reads too slowly misses the oldest, and is told how many.
    pub fn ends(&self) -> broadcast::Receiver<JobId> {
        self.ends.subscribe()
    }

    /// Wakes the one task that sends webhooks: there may be new ones.
    pub fn noticed(&self) -> Arc<Notify> {
        Arc::clone(&self.noticed)
    }

    pub fn snapshot(&self) -> Arc<Ledger> {
        Arc::clone(&self.ledger.borrow())
    }

    /// What never changes jobs: history, documents, attempts.
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// Answers once the job is durable. The same id with the same body is answered as before and adds nothing.
    pub async fn submit(&self, submission: Submission) -> Result<Place, SubmitError> {
        let (reply, answer) = oneshot::channel();
        let command = Command::Submit(Box::new(submission), reply);
        self.commands.send(command).await.map_err(|_| SubmitError::Stopping)?;
        answer.await.map_err(|_| SubmitError::Stopping)?
    }

    /// Answers once the change is durable.
    pub async fn change(&self, change: Change) -> Result<(), ChangeError> {
        self.send(|reply| Command::Change(change, reply)).await
    }

    /// Forgets ended jobs, if an owner is named only its own; others are left alone.
    pub async fn forget(&self, jobs: Vec<JobId>, owner: Option<String>) -> Result<(), ChangeError> {
        self.send(|reply| Command::Forget(Write::Forget { jobs, owner }, reply)).await
    }

    /// Forgets the jobs that have ended by now, if an owner is named only its own; a few in a commit.
    pub async fn forget_all_ended(&self, owner: Option<String>) -> Result<(), ChangeError> {
        let mut left = self.store.held().await.map_err(Arc::new)?.jobs;
        while left > 0 {
            // Many at a time: to find those of one owner all others are looked through.
            let page = left.min(limits::HISTORY_PAGE);
            let oldest = self.store.oldest_ended(page, owner.as_deref()).await.map_err(Arc::new)?;
            if oldest.is_empty() {
                break;
            }
            for few in oldest.chunks(limits::HISTORY_TRIM_STEP) {
                self.forget(few.iter().map(|job| job.id).collect(), owner.clone()).await?;
            }
            left = left.saturating_sub(page);
        }
        Ok(())
    }

    async fn send(
        &self,
        command: impl FnOnce(oneshot::Sender<Result<(), ChangeError>>) -> Command,
    ) -> Result<(), ChangeError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| ChangeError::Stopping)?;
        answer.await.map_err(|_| ChangeError::Stopping)?
    }
}
