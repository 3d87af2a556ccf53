//! What every backend makes of a job, in words.

use std::collections::HashMap;
use std::sync::Arc;

use super::Book;
use crate::clock::UnixMillis;
use crate::id::BackendId;
use crate::job::Job;
use crate::route::key::{SlotId, Ticket};
use crate::route::vram::Claim;
use crate::route::{Candidate, Part, Refusal, Verdict};

/// A job that is asked about and does not wait.
const NOBODYS: Ticket = Ticket(u64::MAX);

impl Book {
    /// Every backend's verdict on a job: why it waits, or what would come of it if it were submitted now.
    pub fn explain(&self, job: &Arc<Job>, now: UnixMillis) -> Vec<(BackendId, Verdict)> {
        if let Some(ticket) = self.tickets.get(&job.id).filter(|ticket| self.router.has(**ticket)) {
            return self.verdicts(*ticket, job, now);
        }
        let mut asked = self.clone();
        asked.show_now(NOBODYS, job, now);
        asked.verdicts(NOBODYS, job, now)
    }

    fn verdicts(&self, ticket: Ticket, job: &Job, now: UnixMillis) -> Vec<(BackendId, Verdict)> {
        let claim = Claim::of(job, &self.fits, &self.candidates, now);
        let parts: HashMap<SlotId, Part> =
            self.router.explain(ticket, self.tempo.at(now)).into_iter().collect();
        let name = |slot: SlotId| self.seats.get(slot.index())?.backend.clone();
        let verdict = |candidate: &Candidate| {
            let id = &candidate.backend.id;
            let part = || self.slots.get(id).and_then(|slot| parts.get(slot)).unwrap_or(&Part::Closed);
            let refusal = self.refusal(candidate, job, claim, now);
            (id.clone(), refusal.map_or_else(|| Verdict::of(part(), self.tempo, name), Verdict::Refused))
        };
        self.candidates.iter().map(verdict).collect()
    }

    /// What each backend refuses a job for; `None`: some backend may run it.
    pub(super) fn refusals(&self, job: &Job, now: UnixMillis) -> Option<Vec<(BackendId, Refusal)>> {
        let claim = Claim::of(job, &self.fits, &self.candidates, now);
        let refusal = |candidate: &Candidate| {
            Some((candidate.backend.id.clone(), self.refusal(candidate, job, claim, now)?))
        };
        self.candidates.iter().map(refusal).collect()
    }

    fn refusal(
        &self,
        candidate: &Candidate,
        job: &Job,
        claim: Claim<'_>,
        now: UnixMillis,
    ) -> Option<Refusal> {
        let exhausted = self.accounts.exhausted(job.owner.as_deref()).map(Refusal::Exhausted);
        let refusal = exhausted.or_else(|| Refusal::of_wishes(&candidate.backend, &job.wishes));
        let refusal = refusal.or_else(|| Refusal::of(candidate, now));
        refusal.or_else(|| Refusal::or_fetch_seconds(&self.candidates, candidate, job, claim, now).err())
    }
}
