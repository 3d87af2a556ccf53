//! The queue's store, simulated: what was committed stays, whatever dies; at times nothing can be committed, or what was
//! committed is told as failed.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::JobId;
use crate::job::{Change, Job, Outcome, State};
use crate::queue::{ChangeError, Ledger, StoreError};

#[derive(Default)]
pub(super) struct Store {
    pub ledger: Ledger,
    pub ended: BTreeMap<JobId, Outcome>,
    pub arrivals: u64,
    pub fails_until: u64,
    /// Commits go through, and their answers are lost.
    pub mute_until: u64,
    /// Attempts that this life of the collector has written and not sent.
    pub unsent: BTreeSet<(JobId, u32)>,
}

impl Store {
    /// The next commit fails, whatever it is.
    pub(super) fn fails(&self, now: u64) -> bool {
        self.fails_until > now
    }

    pub(super) fn submit(&mut self, job: Job) {
        self.ledger.put(job);
    }

    pub(super) fn change(&mut self, change: &Change, now: u64) -> Result<(), ChangeError> {
        if self.fails(now) {
            return Err(failure());
        }
        let job = self.ledger.after(change).map_err(|illegal| ChangeError::Illegal(Arc::new(illegal)))?;
        if let State::Ended(outcome) = job.state {
            let before = self.ended.insert(job.id, outcome);
            assert_eq!(before, None, "{} ended twice", job.id);
        }
        match (change, job.attempt()) {
            (Change::Dispatch { .. }, Some(attempt)) => drop(self.unsent.insert((job.id, attempt.number))),
            (Change::Requeue { attempt, spent: true, .. }, _) => {
                assert!(!self.unsent.contains(&(job.id, *attempt)), "{}: nobody sent this attempt", job.id);
            }
            _ => {}
        }
        self.ledger.put(job);
        if self.mute_until > now { Err(failure()) } else { Ok(()) }
    }
}

fn failure() -> ChangeError {
    let source = sqlx::Error::Protocol("no answer".into());
    ChangeError::Store(Arc::new(StoreError::Query { operation: "commit", source }))
}
