//! The one task that writes: gathers what has come meanwhile, checks it against a copy of the ledger, commits it as
//! one transaction, publishes the copy, answers. When the commit fails the copy is thrown away and all are told.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{mpsc, oneshot, watch};

use super::store::{Error as StoreError, Store, Write};
use super::{ChangeError, Ledger, SubmitError};
use crate::id::JobId;
use crate::job::{Change, Place, Submission};
use crate::limits;
use crate::metrics::Metrics;

type Submitted = oneshot::Sender<Result<Place, SubmitError>>;
type Changed = oneshot::Sender<Result<(), ChangeError>>;

pub(super) enum Command {
    Submit(Box<Submission>, Submitted),
    Change(Change, Changed),
    /// Of the writes, one that forgets.
    Forget(Write, Changed),
}

/// An answer that waits for the commit.
enum Answer {
    Submitted(Place, Submitted),
    Changed(Changed),
}

pub(super) struct Writer {
    store: Arc<dyn Store>,
    ledger: Ledger,
    last_arrival: u64,
    publish: watch::Sender<Arc<Ledger>>,
    metrics: Arc<Metrics>,
}

/// What one transaction will do.
struct Batch {
    ledger: Ledger,
    last_arrival: u64,
    writes: Vec<Write>,
    answers: Vec<Answer>,
    submitted: HashMap<JobId, ([u8; 32], Place)>,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        ledger: Ledger,
        last_arrival: u64,
        publish: watch::Sender<Arc<Ledger>>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, ledger, last_arrival, publish, metrics }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut gathered = Vec::with_capacity(limits::CHANGES_A_COMMIT);
        while commands.recv_many(&mut gathered, limits::CHANGES_A_COMMIT).await > 0 {
            let mut batch = Batch::on(&self.ledger, self.last_arrival);
            for command in gathered.drain(..) {
                self.stage(&mut batch, command).await;
            }
            self.commit(batch).await;
        }
    }

    async fn stage(&self, batch: &mut Batch, command: Command) {
        match command {
            Command::Submit(submission, reply) => self.stage_submission(batch, submission, reply).await,
            Command::Change(change, reply) => batch.change(change, reply),
            Command::Forget(write, reply) => batch.write(write, reply),
        }
    }

    async fn stage_submission(&self, batch: &mut Batch, submission: Box<Submission>, reply: Submitted) {
        let earlier = match batch.submitted.get(&submission.id) {
            None if submission.id_given => self.store.submitted(submission.id).await,
            staged => Ok(staged.copied()),
        };
        let refusal = match earlier {
            Ok(None) => match batch.refusal(&submission) {
                None => return batch.submit(submission, reply),
                Some(refusal) => refusal,
            },
            Ok(Some((fingerprint, place))) if fingerprint == submission.fingerprint => {
                return batch.answers.push(Answer::Submitted(place, reply));
            }
            Ok(Some(_)) => SubmitError::Conflict(submission.id),
            Err(error) => SubmitError::Store(Arc::new(error)),
        };
        // A client that no longer waits needs no answer, here and below.
        let _ = reply.send(Err(refusal));
    }

    async fn commit(&mut self, batch: Batch) {
        let began = Instant::now();
        let committed = match batch.writes.is_empty() {
            true => Ok(()),
            false => self.store.commit(&batch.writes).await,
        };
        self.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        match committed {
            Ok(()) => {
                let submitted = batch.writes.iter().filter(|write| matches!(write, Write::Submit { .. }));
                self.metrics.submissions.inc_by(submitted.count() as u64);
                self.ledger = batch.ledger.clone();
                self.last_arrival = batch.last_arrival;
                self.publish.send_replace(Arc::new(batch.ledger));
                batch.answers.into_iter().for_each(Answer::done);
            }
            Err(error) => {
                tracing::error!(%error, changes = batch.writes.len(), "the queue could not be written");
                let error = Arc::new(error);
                batch.answers.into_iter().for_each(|answer| answer.failed(&error));
            }
        }
    }
}

impl Batch {
    fn on(ledger: &Ledger, last_arrival: u64) -> Self {
        let (writes, answers, submitted) = Default::default();
        Self { ledger: ledger.clone(), last_arrival, writes, answers, submitted }
    }

    /// Why there is no room for it.
    fn refusal(&self, submission: &Submission) -> Option<SubmitError> {
        if self.ledger.len() >= limits::LIVE_JOBS {
            return Some(SubmitError::Full);
        }
        let (owner, limit) = (submission.owner.as_ref()?, submission.max_waiting?);
        let is_full = self.ledger.waiting_len_of(owner) >= limit;
        is_full.then(|| SubmitError::OwnerFull { owner: owner.clone(), limit })
    }

    fn submit(&mut self, submission: Box<Submission>, reply: Submitted) {
        self.last_arrival += 1;
        let job = submission.job(self.last_arrival);
        self.submitted.insert(job.id, (submission.fingerprint, job.place));
        self.answers.push(Answer::Submitted(job.place, reply));
        self.ledger.put(job.clone());
        self.writes.push(Write::Submit { submission, job });
    }

    fn change(&mut self, change: Change, reply: Changed) {
        match self.ledger.after(&change) {
            Ok(job) => {
                self.ledger.put(job);
                self.write(Write::Change(change), reply);
            }
            Err(illegal) => {
                let _ = reply.send(Err(ChangeError::Illegal(Arc::new(illegal))));
            }
        }
    }

    fn write(&mut self, write: Write, reply: Changed) {
        self.writes.push(write);
        self.answers.push(Answer::Changed(reply));
    }
}

impl Answer {
    fn done(self) {
        match self {
            Self::Submitted(place, reply) => drop(reply.send(Ok(place))),
            Self::Changed(reply) => drop(reply.send(Ok(()))),
        }
    }

    fn failed(self, error: &Arc<StoreError>) {
        match self {
            Self::Submitted(_, reply) => drop(reply.send(Err(Arc::clone(error).into()))),
            Self::Changed(reply) => drop(reply.send(Err(Arc::clone(error).into()))),
        }
    }
}
