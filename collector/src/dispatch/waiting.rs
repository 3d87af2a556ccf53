//! Which jobs wait for a decision: those that do by the ledger and that no backend has, or is being given. Told as changes, so that
//! a look at a long queue in which little has changed costs little.

use std::collections::BTreeSet;
use std::sync::Arc;

use crate::id::JobId;
use crate::job::Job;
use crate::queue::Ledger;

#[derive(Debug, Default)]
pub(super) struct Waiting {
    /// The ledger's, when it was looked at last.
    version: u64,
    /// Jobs that were given out, and those that wait by the ledger although a backend has them.
    away: BTreeSet<JobId>,
}

impl Waiting {
    /// A job was given out. If nobody has it at the next look, it waits on.
    pub(super) fn give_out(&mut self, job: JobId) {
        self.away.insert(job);
    }

    /// What has changed since the last look: jobs that wait, or wait otherwise, and with `None` those that wait no longer.
    /// `told`: the jobs that are believed to wait; `is_taken`: whether a backend has a job, or is being given it.
    pub(super) fn changes(
        &mut self,
        ledger: &Ledger,
        told: impl FnOnce() -> Vec<JobId>,
        is_taken: impl Fn(JobId) -> bool,
    ) -> Vec<(JobId, Option<Arc<Job>>)> {
        let changed: Vec<JobId> = match ledger.changed_since(self.version) {
            Some(changed) => changed.collect(),
            None => told().into_iter().chain(ledger.waiting().map(|job| job.id)).collect(),
        };
        self.version = ledger.version();
        let back: Vec<JobId> = self.away.iter().copied().filter(|job| !is_taken(*job)).collect();
        let changed = changed.into_iter().chain(back);
        changed.map(|id| (id, self.waits(id, ledger, is_taken(id)))).collect()
    }

    fn waits(&mut self, id: JobId, ledger: &Ledger, is_taken: bool) -> Option<Arc<Job>> {
        let waits = ledger.get(id).filter(|job| job.is_waiting());
        if !is_taken {
            self.away.remove(&id);
        } else if waits.is_some() {
            self.away.insert(id);
        }
        waits.filter(|_| !is_taken).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Outcome, State};
    use crate::limits;

    /// (the job, whether it waits) of each change.
    fn changes(
        waiting: &mut Waiting,
        ledger: &Ledger,
        told: &[JobId],
        taken: &[JobId],
    ) -> Vec<(JobId, bool)> {
        let changes = waiting.changes(ledger, || told.to_vec(), |job| taken.contains(&job));
        changes.into_iter().map(|(id, job)| (id, job.is_some())).collect()
    }

    #[test]
    fn a_job_waits_until_a_backend_has_it_and_again_once_none_does() {
        let (mut waiting, job) = (Waiting::default(), Job::for_tests(1));
        let (id, mut ledger) = (job.id, Ledger::of([job.clone()]));
        assert_eq!(changes(&mut waiting, &ledger, &[], &[]), [(id, true)]);
        assert_eq!(changes(&mut waiting, &ledger, &[id], &[]), []);
        waiting.give_out(id);
        assert_eq!(changes(&mut waiting, &ledger, &[], &[]), [(id, true)], "it was not sent");
        waiting.give_out(id);
        for _ in 0..2 {
            assert_eq!(changes(&mut waiting, &ledger, &[], &[id]), []);
        }
        assert_eq!(changes(&mut waiting, &ledger, &[], &[]), [(id, true)]);
        ledger.put(Job { state: State::Ended(Outcome::Cancelled), ..job });
        assert_eq!(changes(&mut waiting, &ledger, &[id], &[]), [(id, false)]);
        assert_eq!(changes(&mut waiting, &ledger, &[], &[]), []);
    }

    #[test]
    fn a_job_that_the_ledger_lets_wait_before_its_backend_is_done_with_it_waits_from_then_on() {
        let (mut waiting, job) = (Waiting::default(), Job::for_tests(1));
        let (id, ledger) = (job.id, Ledger::of([job]));
        assert_eq!(changes(&mut waiting, &ledger, &[], &[id]), [(id, false)]);
        assert_eq!(changes(&mut waiting, &ledger, &[], &[id]), []);
        assert_eq!(changes(&mut waiting, &ledger, &[], &[]), [(id, true)]);
    }

    #[test]
    fn after_more_changes_than_the_ledger_remembers_all_are_looked_at() {
        let mut waiting = Waiting::default();
        let jobs: Vec<Job> = (0..=limits::LEDGER_CHANGES as u64).map(Job::for_tests).collect();
        let ledger = Ledger::of(jobs.clone());
        let gone = JobId::random();
        let changes = changes(&mut waiting, &ledger, &[gone, jobs[0].id], &[]);
        assert_eq!(changes[..2], [(gone, false), (jobs[0].id, true)]);
        assert_eq!(changes.iter().filter(|(_, waits)| *waits).count(), jobs.len() + 1);
    }
}
