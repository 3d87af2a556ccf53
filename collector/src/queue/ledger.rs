//! The jobs that wait or run, in memory: a persistent map, so that a snapshot costs nothing however long the queue is.

use std::sync::Arc;

use rpds::{HashTrieMapSync, RedBlackTreeMapSync};

use super::JobChanged;
use crate::id::JobId;
use crate::job::{Change, Illegal, Job, Place, State};
use crate::limits;

#[derive(Clone, Debug, Default)]
pub struct Ledger {
    by_id: HashTrieMapSync<JobId, Arc<Job>>,
    waiting: RedBlackTreeMapSync<Place, Arc<Job>>,
    dispatched: RedBlackTreeMapSync<Place, Arc<Job>>,
    /// How many wait of each owner that has any.
    waiting_of: HashTrieMapSync<String, usize>,
    /// How often a job was put, and of the last times which one.
    version: u64,
    changes: RedBlackTreeMapSync<u64, JobId>,
}

/// Of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    Front,
    Back,
}

impl Ledger {
    pub fn of(jobs: impl IntoIterator<Item = Job>) -> Self {
        Self::default().read_anew(jobs)
    }

    /// The same queue with these jobs. What has changed is one change, and too long ago to be told.
    pub(super) fn read_anew(&self, jobs: impl IntoIterator<Item = Job>) -> Self {
        let mut ledger = Self { version: self.version + 1, ..Self::default() };
        jobs.into_iter().for_each(|job| ledger.place(job));
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

    /// Those of one owner.
    pub fn waiting_len_of(&self, owner: &str) -> usize {
        self.waiting_of.get(owner).copied().unwrap_or(0)
    }

    /// A number before those of all that wait, or behind them.
    pub fn number_at(&self, end: End) -> f64 {
        let place = match end {
            End::Front => self.waiting.first().map(|(place, _)| place.number - 1.0),
            End::Back => self.waiting.last().map(|(place, _)| place.number + 1.0),
        };
        place.unwrap_or_default()
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
        self.note(job.id);
        self.place(job);
    }

    fn place(&mut self, job: Job) {
        let job = Arc::new(job);
        // Its place may be another one now.
        if let Some(place) = self.get(job.id).map(|before| before.place) {
            if self.waiting.remove_mut(&place) {
                self.count(job.owner.as_deref(), -1);
            }
            self.dispatched.remove_mut(&place);
        }
        match job.state {
            State::Ended(_) => drop(self.by_id.remove_mut(&job.id)),
            State::Dispatched(_) => self.dispatched.insert_mut(job.place, Arc::clone(&job)),
            State::Waiting => {
                self.count(job.owner.as_deref(), 1);
                self.waiting.insert_mut(job.place, Arc::clone(&job));
            }
        }
        if !matches!(job.state, State::Ended(_)) {
            self.by_id.insert_mut(job.id, job);
        }
    }

    pub fn version(&self) -> u64 {
        self.version
    }

    /// The jobs that were put since that version of this ledger; `None`: that is too long ago to be told.
    pub fn changed_since(&self, version: u64) -> Option<impl Iterator<Item = JobId>> {
        let is_told =
            version <= self.version && version.saturating_add(self.changes.size() as u64) >= self.version;
        is_told.then(|| self.changes.range(version.saturating_add(1)..).map(|(_, job)| *job))
    }

    /// What is to be told of jobs that wait or run in `now`, to whoever was told all of this one.
    pub(super) fn differences(&self, now: &Self) -> Vec<JobChanged> {
        let is_other = |job: &&Arc<Job>| self.get(job.id).is_none_or(|before| before.state != job.state);
        now.by_id.values().filter(is_other).map(|job| JobChanged::of(job)).collect()
    }

    /// Those of this one that neither wait nor run in `now`.
    pub(super) fn gone(&self, now: &Self) -> Vec<JobId> {
        self.by_id.keys().copied().filter(|job| now.get(*job).is_none()).collect()
    }

    fn note(&mut self, job: JobId) {
        self.version += 1;
        self.changes.insert_mut(self.version, job);
        if self.changes.size() > limits::LEDGER_CHANGES
            && let Some(oldest) = self.changes.first().map(|(version, _)| *version)
        {
            self.changes.remove_mut(&oldest);
        }
    }

    fn count(&mut self, owner: Option<&str>, more: isize) {
        let Some(owner) = owner else { return };
        match self.waiting_len_of(owner).saturating_add_signed(more) {
            0 => drop(self.waiting_of.remove_mut(owner)),
            count => self.waiting_of.insert_mut(owner.to_owned(), count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::id::BackendId;
    use crate::job::Outcome;

    fn job(arrival: u64, owner: Option<&str>) -> Job {
        Job { owner: owner.map(str::to_owned), ..Job::for_tests(arrival) }
    }

    #[test]
    fn a_job_that_is_moved_waits_at_its_new_place_alone() {
        let jobs: Vec<Job> = (1..=3).map(|arrival| job(arrival, Some("anna"))).collect();
        let mut ledger = Ledger::of(jobs.clone());
        let order = |ledger: &Ledger| ledger.waiting().map(|job| job.place.arrival).collect::<Vec<_>>();
        for (moved, end, expected) in
            [(2, End::Front, [3, 1, 2]), (1, End::Front, [2, 3, 1]), (1, End::Back, [3, 1, 2])]
        {
            let change = Change::Move { job: jobs[moved].id, number: ledger.number_at(end) };
            ledger.put(ledger.after(&change).unwrap());
            assert_eq!(order(&ledger), expected);
        }
        assert_eq!((ledger.waiting_len(), ledger.waiting_len_of("anna")), (3, 3));
    }

    #[test]
    fn what_was_put_since_a_version_is_told_unless_that_is_too_long_ago() {
        let jobs: Vec<Job> = (0..=limits::LEDGER_CHANGES as u64).map(|arrival| job(arrival, None)).collect();
        let mut ledger = Ledger::of(jobs[..1].to_vec());
        let changed = |ledger: &Ledger, version| Some(ledger.changed_since(version)?.collect::<Vec<_>>());
        let loaded = ledger.version();
        assert_eq!(changed(&ledger, 0), None, "all that was loaded is to be looked at");
        assert_eq!((changed(&ledger, loaded), changed(&ledger, loaded + 1)), (Some(vec![]), None));
        jobs[..2].iter().for_each(|job| ledger.put(job.clone()));
        assert_eq!(changed(&ledger, loaded), Some(vec![jobs[0].id, jobs[1].id]));
        assert_eq!(changed(&ledger, loaded + 1), Some(vec![jobs[1].id]));
        jobs[2..].iter().for_each(|job| ledger.put(job.clone()));
        assert_eq!(changed(&ledger, loaded), None);
        assert_eq!(changed(&ledger, loaded + 1).map(|jobs| jobs.len()), Some(limits::LEDGER_CHANGES));
        let told = ledger.version();
        ledger = ledger.read_anew(jobs[..2].to_vec());
        assert_eq!(changed(&ledger, told), None);
        ledger.put(jobs[3].clone());
        assert_eq!((changed(&ledger, told), changed(&ledger, told + 1)), (None, Some(vec![jobs[3].id])));
    }

    #[test]
    fn the_waiting_jobs_of_an_owner_are_counted_as_they_come_and_go() {
        let (first, second) = (job(1, Some("anna")), job(2, Some("anna")));
        let mut ledger = Ledger::of([first.clone(), second.clone(), job(3, Some("bob")), job(4, None)]);
        assert_eq!((ledger.waiting_len_of("anna"), ledger.waiting_len_of("bob")), (2, 1));
        let backend: BackendId = "a".parse().unwrap();
        let change = Change::Dispatch { job: first.id, backend, at: UnixMillis(2), why: String::new() };
        let dispatched = ledger.after(&change).unwrap();
        ledger.put(dispatched.clone());
        assert_eq!(ledger.waiting_len_of("anna"), 1);
        ledger.put(Job { state: State::Waiting, ..dispatched });
        assert_eq!(ledger.waiting_len_of("anna"), 2);
        for ended in [first, second] {
            ledger.put(Job { state: State::Ended(Outcome::Cancelled), ..ended });
        }
        assert_eq!((ledger.waiting_len_of("anna"), ledger.waiting_of.size()), (0, 1));
    }
}
