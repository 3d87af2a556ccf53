//! What must hold, whatever happens; of attempts that were never sent `store.rs` asks.

use super::World;
use crate::event::Event;
use crate::id::JobId;
use crate::job::Outcome;

impl World {
    /// No prompt arrives while an earlier one of its job may still run, or has ended for good.
    pub(super) fn check_delivery(&self, at: usize, job: JobId) {
        let holder = self.comfies.iter().find(|comfy| comfy.has(job));
        if let Some(holder) = holder {
            panic!("{job} arrives at {} while {} has it", self.comfies[at].id, holder.id);
        }
    }

    /// Told as finished ⇒ committed as finished; and once.
    pub(super) fn tell(&mut self, job: JobId, event: &Event) {
        let Event::Text { text, .. } = event else { return };
        if text.contains("\"execution_start\"") {
            assert!(self.begins_told.insert((self.life, job)), "the begin of {job} is told twice");
        }
        if text.contains("\"executing\"") && text.contains("\"node\":null") {
            assert!(self.store.ended.contains_key(&job), "{job} is told as over before that is committed");
            assert!(self.ends_told.insert(job), "the end of {job} is told twice");
            self.untold.remove(&job);
        }
    }

    pub(super) fn check_end(&mut self) {
        let left: Vec<_> = self.store.ledger.waiting().chain(self.store.ledger.dispatched()).collect();
        assert!(left.is_empty(), "{} jobs have not ended: {left:?}", left.len());
        assert_eq!(self.store.ended.len() as u64, self.counts.jobs, "every job that was accepted has ended");
        for (job, outcome) in &self.store.ended {
            let told = self.ends_told.contains(job) || self.excused.contains(job);
            assert!(told || *outcome == Outcome::Cancelled, "nobody was told the end of {job}");
            let is_true = match outcome {
                Outcome::Succeeded => self.succeeded.contains(job),
                Outcome::Interrupted | Outcome::Cancelled => self.cancelled.contains(job),
                Outcome::Failed => true,
            };
            assert!(is_true, "{job} did not end as {outcome:?}");
        }
    }
}
