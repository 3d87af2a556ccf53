//! The jobs that wait or run, in memory: a persistent map, so that a snapshot costs nothing however long the queue is.

use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use crate::id::JobId;
use crate::job::{Change, Illegal, Job, Place, State};

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    by_id: HashTrieMapSync<JobId, Arc<Job>>,
    waiting: RedBlackTreeMapSync<Place, Arc<Job>>,
    dispatched: RedBlackTreeMapSync<Place, Arc<Job>>,
}

impl Ledger {
    pub fn of(jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut ledger = Self::default();
        jobs.into_iter().for_each(|job| ledger.put(job));
        ledger
    }

    /// Waiting and running ones together: what ComfyUI calls `queue_remaining`.
    pub fn len(&self) -> usize {
        self.by_id.size()
    }

    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    pub fn get(&self, id: JobId) -> Option<&Arc<Job>> {
        self.by_id.get(&id)
    }

    pub fn waiting_len(&self) -> usize {
        self.waiting.size()
    }

    /// In the order of their places.
    pub fn waiting(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.waiting.values()
    }

    /// Those with a backend, in the order of their places.
    pub fn dispatched(&self) -> impl Iterator<Item = &Arc<Job>> {
        self.dispatched.values()
    }

    pub fn after(&self, change: &Change) -> Result<Job, Illegal> {
        let job = self.get(change.job()).ok_or_else(|| Illegal {
            job: change.job(),
            state: "ended or unknown",
            change: "change",
        })?;
        job.after(change)
    }

    pub fn put(&mut self, job: Job) {
        let job = Arc::new(job);
        self.waiting.remove_mut(&job.place);
        self.dispatched.remove_mut(&job.place);
        match job.state {
            State::Ended(_) => drop(self.by_id.remove_mut(&job.id)),
            State::Dispatched(_) => self.dispatched.insert_mut(job.place, Arc::clone(&job)),
            State::Waiting => self.waiting.insert_mut(job.place, Arc::clone(&job)),
        }
        if !matches!(job.state, State::Ended(_)) {
            self.by_id.insert_mut(job.id, job);
        }
    }
}
