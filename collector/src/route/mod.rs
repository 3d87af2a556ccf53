//! What to do: which waiting job goes to which free backend, and when memory is freed. The README beside this file
//! states the problem and the rule. No async, no clock, no randomness, no logging: the same input gives the same
//! decision.

mod away;
mod demand;
mod desk;
mod elsewhere;
mod estimate;
mod explain;
mod forecast;
pub mod free;
pub mod key;
mod memory;
mod policy;
mod round;
mod router;
mod runs;
mod share;
mod slot;
mod verdict;
mod vram;
mod waiting;
mod weigh;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::estimate::{Estimates, Timing};
pub use self::explain::Verdict as Part;
pub use self::forecast::{Expected, Forecast, Outlook, forecast};
pub use self::memory::{Asset, LoadTimes, Memory, Tier};
pub use self::policy::Policy;
pub use self::round::{Choice, Rule};
pub use self::router::{Arrival, Given, Kind, Router};
pub use self::runs::Signature;
pub use self::slot::{Slot, Standing};
pub use self::verdict::{Refusal, Verdict, Why, suits};
use self::vram::Claim;
pub use self::vram::{Fits, GpuClass, Room, fits_somewhere};
pub use self::waiting::Rank;
use crate::clock::UnixMillis;
use crate::fleet::Backend;
use crate::id::{BackendId, JobId};
use crate::job::{Job, ModelSet};
use crate::limits;

/// A backend as a decision sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub backend: Arc<Backend>,
    /// Seconds until the jobs that it has from us are expected to end; `None`: it has none.
    pub residual_seconds: Option<f64>,
    /// Prompts of others in its queue, as far as that can be told.
    pub foreign: u64,
    /// The models of its last job, if it still runs and was not freed since.
    pub resident: BTreeSet<String>,
    /// After a failure to hand it a job it gets none until then.
    pub rests_until: UnixMillis,
    pub room: Room,
    pub conduct: Conduct,
}

/// What is held against a backend beyond what polling tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conduct {
    /// It was asked to free its memory, and what came of it is not known yet.
    pub freeing: bool,
    /// Its GPU has failed, and it has not run a job since.
    pub suspect: bool,
    /// Jobs that it could not run while others may.
    pub unfit: BTreeSet<JobId>,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub job: JobId,
    pub backend: BackendId,
    pub why: Why,
}

/// The jobs of `waiting` (in their order) that go to a backend now.
pub fn route<'a>(
    candidates: &[Candidate],
    waiting: impl IntoIterator<Item = &'a Arc<Job>>,
    estimates: &Estimates,
    now: UnixMillis,
) -> Vec<Assignment> {
    let mut desks: Vec<Desk<'_>> =
        candidates.iter().map(|candidate| Desk::new(candidates, candidate, estimates, now)).collect();
    let (mut assignments, mut looked_at) = (Vec::new(), 0);
    for job in waiting {
        if looked_at == limits::ROUTE_LOOKAHEAD || !desks.iter().any(Desk::can_start) {
            break;
        }
        let claim = Claim::of(job, &estimates.fits, candidates, now);
        if let Some(choice) = choose(&mut desks, job, claim, estimates, now) {
            looked_at += 1;
            assignments.extend(choice);
        }
    }
    assignments
}

/// Every backend's verdict on one job, as if it stood first in the queue: why it waits.
pub fn explain(
    candidates: &[Candidate],
    job: &Job,
    estimates: &Estimates,
    now: UnixMillis,
) -> Vec<(BackendId, Verdict)> {
    let claim = Claim::of(job, &estimates.fits, candidates, now);
    let desks = candidates.iter().map(|candidate| Desk::new(candidates, candidate, estimates, now));
    desks.map(|desk| (desk.candidate.backend.id.clone(), desk.judge(job, claim, estimates, now))).collect()
}

/// `None`: no backend may run it. `Some(None)`: it waits for a busy one.
fn choose(
    desks: &mut [Desk<'_>],
    job: &Job,
    claim: Claim<'_>,
    estimates: &Estimates,
    now: UnixMillis,
) -> Option<Option<Assignment>> {
    let verdicts: Vec<Verdict> = desks.iter().map(|desk| desk.judge(job, claim, estimates, now)).collect();
    let completions =
        verdicts.iter().enumerate().filter_map(|(at, verdict)| Some((at, verdict.completion_seconds()?)));
    let (best, completion) = completions.min_by(|(_, a), (_, b)| a.total_cmp(b))?;
    let free = desks.get(best).is_some_and(Desk::can_start);
    let assignment = free.then(|| assignment(desks, best, job, verdicts)).flatten();
    if let Some(desk) = desks.get_mut(best) {
        desk.reserve(job, completion);
    }
    Some(assignment)
}

fn assignment(desks: &[Desk<'_>], best: usize, job: &Job, verdicts: Vec<Verdict>) -> Option<Assignment> {
    let backend = desks.get(best)?.candidate.backend.id.clone();
    let others =
        desks.iter().zip(verdicts).map(|(desk, verdict)| (desk.candidate.backend.id.clone(), verdict));
    let why = Why { chosen: backend.clone(), considered: others.collect() };
    Some(Assignment { job: job.id, backend, why })
}

/// A candidate while one decision is being made: what was just given to it counts already.
struct Desk<'a> {
    fleet: &'a [Candidate],
    candidate: &'a Candidate,
    refusal: Option<Refusal>,
    free: bool,
    busy_seconds: f64,
    models: ModelSet,
}

impl<'a> Desk<'a> {
    fn new(fleet: &'a [Candidate], candidate: &'a Candidate, estimates: &Estimates, now: UnixMillis) -> Self {
        let foreign_seconds = candidate.foreign as f64 * estimates.typical_run_seconds();
        Self {
            fleet,
            candidate,
            refusal: Refusal::of(candidate, now),
            free: candidate.residual_seconds.is_none() && candidate.foreign == 0,
            busy_seconds: candidate.residual_seconds.unwrap_or(0.0) + foreign_seconds,
            models: ModelSet(candidate.resident.clone()),
        }
    }

    fn can_start(&self) -> bool {
        self.free && self.refusal.is_none()
    }

    fn judge(&self, job: &Job, claim: Claim<'_>, estimates: &Estimates, now: UnixMillis) -> Verdict {
        let refusal = Refusal::of_wishes(&self.candidate.backend, &job.wishes);
        let refusal = refusal.or_else(|| self.refusal.clone());
        if let Some(refusal) = refusal.or_else(|| Refusal::of_job(self.candidate, job, claim, now)) {
            return Verdict::Refused(refusal);
        }
        let fetch_seconds = match away::fetch_seconds(self.fleet, &self.candidate.backend.id, &job.needs) {
            Ok(seconds) => seconds,
            Err(refusal) => return Verdict::Refused(refusal),
        };
        let models = job.needs.models();
        let load_seconds =
            if models.0.is_subset(&self.models.0) { 0.0 } else { estimates.load_seconds(&models) };
        let run_seconds = estimates.run_seconds(&models);
        Verdict::Possible {
            free: self.free,
            wait_seconds: self.busy_seconds,
            fetch_seconds,
            load_seconds,
            run_seconds,
        }
    }

    fn reserve(&mut self, job: &Job, completion_seconds: f64) {
        self.free = false;
        self.busy_seconds = completion_seconds;
        let models = job.needs.models();
        if !models.0.is_empty() {
            self.models = models;
        }
    }
}

#[cfg(test)]
mod tests;
