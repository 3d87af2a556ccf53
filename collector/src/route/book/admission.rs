//! Where the kinds of jobs that wait may run: worked out again for what has changed, before every decision.

use std::collections::BTreeSet;

use super::{Book, Sample};
use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::route::Refusal;
use crate::route::key::{KindId, SlotId};
use crate::route::vram::{Claim, Fit};

impl Book {
    /// Where jobs may run is worked out again for what has changed: backends, what was learned of memory, and what may
    /// change at any time.
    pub(super) fn admit_anew(&mut self, changed: &BTreeSet<SlotId>, now: UnixMillis) {
        let all: BTreeSet<SlotId> = self.slots.values().copied().collect();
        let everywhere = self.changed_kinds();
        for kind in &everywhere {
            self.admit(*kind, &all, now);
        }
        if !changed.is_empty() {
            let kinds: Vec<KindId> =
                self.kinds.keys().copied().filter(|kind| !everywhere.contains(kind)).collect();
            kinds.into_iter().for_each(|kind| self.admit(kind, changed, now));
        }
    }

    fn changed_kinds(&mut self) -> BTreeSet<KindId> {
        let seen = std::mem::replace(&mut self.fits_seen, self.fits.version());
        if seen != self.fits_seen {
            let is_new =
                |sample: &Sample| self.fits.known(&sample.memory).is_some_and(|fit| fit.is_newer_than(seen));
            let learned: Vec<KindId> =
                self.kinds.iter().filter(|(_, sample)| is_new(sample)).map(|(kind, _)| *kind).collect();
            // It may have run where it failed, and is looked at once more now.
            self.unsettled.extend(learned);
        }
        let unfit: BTreeSet<JobId> =
            self.candidates.iter().flat_map(|candidate| candidate.conduct.unfit.iter().copied()).collect();
        let before = std::mem::replace(&mut self.unfit, unfit);
        let tickets = self.unfit.union(&before).filter_map(|job| self.tickets.get(job));
        let tried = tickets.filter_map(|ticket| Some(self.waiting.get(ticket)?.kind));
        let all = self.unsettled.iter().copied().chain(tried).collect();
        let mut unsettled = std::mem::take(&mut self.unsettled);
        unsettled.retain(|kind| self.kinds.get(kind).is_some_and(|sample| self.is_unsettled(sample)));
        self.unsettled = unsettled;
        all
    }

    pub(super) fn admit(&mut self, kind: KindId, slots: &BTreeSet<SlotId>, now: UnixMillis) {
        let Some(Sample { job, memory }) = self.kinds.get(&kind) else { return };
        let candidates = &self.candidates;
        let claim = Claim::by(self.fits.known(memory), job, candidates, now);
        for slot in slots {
            let seat = self.seats.get(slot.index());
            let Some(candidate) = seat.and_then(|seat| candidates.get(seat.at)) else { continue };
            let fetch_seconds = Refusal::or_fetch_seconds(candidates, candidate, job, claim, now);
            self.router.admit(kind, *slot, fetch_seconds.ok().map(|seconds| self.tempo.of(seconds)));
        }
    }

    /// Whether what keeps its kind from a backend is more than what that backend itself offers.
    pub(super) fn is_unsettled(&self, sample: &Sample) -> bool {
        let has_failed = || self.fits.known(&sample.memory).is_some_and(Fit::has_failed);
        !sample.job.needs.outputs.is_empty() || has_failed()
    }
}
