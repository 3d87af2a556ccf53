//! The one task that writes: gathers what has come meanwhile, checks it against a copy of the ledger, commits it as
//! one transaction, publishes the copy, answers. When the commit fails the copy is thrown away and all are told. Where it
//! is not known what came of it, the ledger is read anew before anything else is written.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, broadcast, mpsc, oneshot, watch};

use super::copies::{Made, Wanted};
use super::error::Error as StoreError;
use super::store::{Store, Write};
use super::{ChangeError, JobChanged, Ledger, SubmitError};
use crate::id::JobId;
use crate::job::{Change, Job, Notice, Place, Submission};
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
    Submitted(Submitted),
    Changed(Changed),
    /// It goes along with another write.
    None,
}

pub(super) struct Writer {
    store: Arc<dyn Store>,
    ledger: Ledger,
    /// The store may hold another state than the ledger.
    in_doubt: bool,
    copies: Wanted,
    told: Told,
    metrics: Arc<Metrics>,
}

/// Who is told after a commit.
pub(super) struct Told {
    pub(super) publish: watch::Sender<Arc<Ledger>>,
    pub(super) changes: broadcast::Sender<JobChanged>,
    pub(super) ends: broadcast::Sender<JobId>,
    pub(super) noticed: Arc<Notify>,
}

/// What one transaction will do. Submissions get their places by it, so the ledger has them only afterwards.
struct Batch {
    ledger: Ledger,
    copies: Wanted,
    writes: Vec<Write>,
    /// One each.
    answers: Vec<Answer>,
    changed: Vec<JobChanged>,
    submitted: usize,
    submitted_by: HashMap<String, usize>,
}

impl Writer {
    pub(super) fn new(
        store: Arc<dyn Store>,
        ledger: Ledger,
        copies: Wanted,
        told: Told,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self { store, ledger, in_doubt: false, copies, told, metrics }
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut gathered = Vec::with_capacity(limits::CHANGES_A_COMMIT);
        while commands.recv_many(&mut gathered, limits::CHANGES_A_COMMIT).await > 0 {
            if let Err(error) = self.be_certain().await {
                gathered.drain(..).for_each(|command| command.refuse(&error));
                continue;
            }
            let mut batch = Batch::on(&self.ledger, self.copies);
            for command in gathered.drain(..) {
                self.stage(&mut batch, command).await;
            }
            if !batch.writes.is_empty() {
                self.commit(batch).await;
            }
        }
    }

    async fn be_certain(&mut self) -> Result<(), Arc<StoreError>> {
        if !self.in_doubt {
            return Ok(());
        }
        let read = self.read_anew().await;
        let (ledger, changed) = read.map_err(|error| {
            tracing::error!(%error, "the queue cannot be read anew, as is due after a commit that failed");
            Arc::new(error)
        })?;
        self.in_doubt = false;
        self.show(ledger, changed);
        // Ends that were written all the same have their webhooks with them.
        self.told.noticed.notify_one();
        tracing::info!(jobs = self.ledger.len(), "the queue was read anew");
        Ok(())
    }

    async fn read_anew(&self) -> Result<(Ledger, Vec<JobChanged>), StoreError> {
        let ledger = self.ledger.read_anew(self.store.live().await?);
        let mut changed = self.ledger.differences(&ledger);
        for job in self.ledger.gone(&ledger) {
            let listed = self.store.listed(job).await?;
            changed.extend(listed.map(|job| JobChanged::listed(&job)));
        }
        Ok((ledger, changed))
    }

    fn show(&mut self, ledger: Ledger, changed: Vec<JobChanged>) {
        self.ledger = ledger.clone();
        self.told.publish.send_replace(Arc::new(ledger));
        for changed in changed {
            // Nobody may watch.
            if changed.state.is_ended() {
                let _ = self.told.ends.send(changed.job);
            }
            let _ = self.told.changes.send(changed);
        }
    }

    async fn stage(&self, batch: &mut Batch, command: Command) {
        match command {
            Command::Submit(submission, reply) => match batch.refusal(&submission) {
                None => batch.submit(submission, reply),
                // What is there already is told as before, room or not.
                Some(refusal) if submission.id_given => {
                    self.answer_known(&submission, reply, refusal).await;
                }
                Some(refusal) => drop(reply.send(Err(refusal))),
            },
            Command::Change(change, reply) => batch.change(change, reply),
            Command::Forget(write, reply) => batch.write(write, Answer::Changed(reply)),
        }
    }

    async fn commit(&mut self, batch: Batch) {
        let began = Instant::now();
        let committed = self.store.commit(&batch.writes).await;
        self.metrics.commit_seconds.observe(began.elapsed().as_secs_f64());
        match committed {
            Ok(arrivals) => self.settle(batch, arrivals).await,
            Err(error) => {
                self.metrics.commit_failures.inc();
                tracing::error!(%error, changes = batch.writes.len(), "the queue could not be written");
                self.in_doubt |= error.leaves_doubt();
                self.refuse(batch, Arc::new(error)).await;
            }
        }
    }

    /// What was written all the same is told as if nothing had been the matter.
    async fn refuse(&mut self, batch: Batch, error: Arc<StoreError>) {
        let was_in_doubt = self.in_doubt;
        let is_certain = self.be_certain().await.is_ok();
        for (write, answer) in batch.writes.iter().zip(batch.answers) {
            match (answer, write.submission()) {
                (Answer::Submitted(reply), Some(submission)) if was_in_doubt && is_certain => {
                    self.answer_known(submission, reply, Arc::clone(&error).into()).await;
                }
                (answer, _) => answer.failed(&error),
            }
        }
    }

    /// It is published before it is answered. `arrivals` are those of the submissions, in their order.
    async fn settle(&mut self, batch: Batch, arrivals: Vec<Option<u64>>) {
        let Batch { mut ledger, writes, answers, mut changed, .. } = batch;
        let submissions = writes.iter().filter_map(Write::submission).zip(arrivals);
        let jobs: Vec<Option<Job>> =
            submissions.map(|(submission, arrival)| Some(submission.job(arrival?))).collect();
        for job in jobs.iter().flatten() {
            changed.push(JobChanged::of(job));
            ledger.put(job.clone());
            self.metrics.submissions.inc();
        }
        self.show(ledger, changed);
        if writes.iter().any(|write| write.notice().is_some()) {
            self.told.noticed.notify_one();
        }
        let mut jobs = jobs.into_iter();
        for (write, answer) in writes.iter().zip(answers) {
            // A client that no longer waits needs no answer, here and below.
            match (answer, write.submission()) {
                (Answer::Submitted(reply), Some(submission)) => match jobs.next().flatten() {
                    Some(job) => drop(reply.send(Ok(job.place))),
                    None => self.answer_known(submission, reply, SubmitError::Conflict(submission.id)).await,
                },
                (Answer::Changed(reply), _) => drop(reply.send(Ok(()))),
                (Answer::Submitted(_), None) | (Answer::None, _) => {}
            }
        }
    }

    /// The same job as before is answered as before; anything else is refused.
    async fn answer_known(&self, submission: &Submission, reply: Submitted, refusal: SubmitError) {
        let answer = match self.store.submitted(submission.id).await {
            Ok(Some((fingerprint, place))) if fingerprint == submission.fingerprint => Ok(place),
            Ok(Some(_)) => Err(SubmitError::Conflict(submission.id)),
            Ok(None) => Err(refusal),
            Err(error) => Err(SubmitError::Store(Arc::new(error))),
        };
        let _ = reply.send(answer);
    }
}

impl Batch {
    fn on(ledger: &Ledger, copies: Wanted) -> Self {
        let (writes, answers, changed, submitted, submitted_by) = Default::default();
        Self { ledger: ledger.clone(), copies, writes, answers, changed, submitted, submitted_by }
    }

    /// Why there is no room for it.
    fn refusal(&self, submission: &Submission) -> Option<SubmitError> {
        if self.ledger.len() + self.submitted >= limits::LIVE_JOBS {
            return Some(SubmitError::Full);
        }
        let (owner, limit) = (submission.owner.as_ref()?, submission.max_waiting?);
        let waiting = self.ledger.waiting_len_of(owner) + self.submitted_by.get(owner).unwrap_or(&0);
        (waiting >= limit).then(|| SubmitError::OwnerFull { owner: owner.clone(), limit })
    }

    fn submit(&mut self, submission: Box<Submission>, reply: Submitted) {
        self.submitted += 1;
        if let Some(owner) = &submission.owner {
            *self.submitted_by.entry(owner.clone()).or_default() += 1;
        }
        self.write(Write::Submit(submission), Answer::Submitted(reply));
    }

    fn change(&mut self, change: Change, reply: Changed) {
        match self.ledger.after(&change) {
            Ok(job) => {
                // Where it is does not change by being accepted there.
                if !matches!(change, Change::Accept { .. }) {
                    self.changed.push(JobChanged::of(&job));
                }
                let notice = self.ledger.get(job.id).and_then(|before| Notice::of(before, &change));
                let made = Made::by(&change, self.copies);
                self.ledger.put(job);
                self.write(Write::Change(change), Answer::Changed(reply));
                if let Some(made) = made {
                    self.write(Write::Archive(made), Answer::None);
                }
                if let Some(notice) = notice {
                    self.write(Write::Notify(notice), Answer::None);
                }
            }
            Err(illegal) => {
                let _ = reply.send(Err(ChangeError::Illegal(Arc::new(illegal))));
            }
        }
    }

    fn write(&mut self, write: Write, answer: Answer) {
        self.writes.push(write);
        self.answers.push(answer);
    }
}

impl Command {
    fn refuse(self, error: &Arc<StoreError>) {
        match self {
            Self::Submit(_, reply) => Answer::Submitted(reply).failed(error),
            Self::Change(_, reply) | Self::Forget(_, reply) => Answer::Changed(reply).failed(error),
        }
    }
}

impl Answer {
    fn failed(self, error: &Arc<StoreError>) {
        match self {
            Self::Submitted(reply) => drop(reply.send(Err(Arc::clone(error).into()))),
            Self::Changed(reply) => drop(reply.send(Err(Arc::clone(error).into()))),
            Self::None => {}
        }
    }
}
