//! What dispatch knows beyond the fleet and the ledger: the attempts under way, what each backend is believed to hold,
//! what was learned. One owner, the driver; others see a [`View`].

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::running::{Loads, Running};
use super::track::{Phase, Track};
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Fleet};
use crate::id::{BackendId, JobId};
use crate::job::Job;
use crate::queue::Ledger;
use crate::route::{Candidate, Estimates, Idle};

/// A job that runs past its estimate is expected to need this share of what it has taken already.
const OVERDUE: f64 = 0.2;

#[derive(Default)]
pub(super) struct Board {
    /// In an order of its own, so that the same board gives the same commands.
    pub tracks: BTreeMap<JobId, Track>,
    beliefs: HashMap<BackendId, Belief>,
    pub estimates: Arc<Estimates>,
    loads: Arc<HashMap<BackendId, Loads>>,
}

/// What is believed of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Belief {
    /// The models of its last job, while its process lives and was not told to free them.
    pub resident: BTreeSet<String>,
    /// When it last ended a job, or was first seen.
    pub idle_since: UnixMillis,
    pub rests_until: UnixMillis,
    /// Times in a row that it could not be given a job.
    pub refusals: u32,
    /// Asked to free its memory, and not yet answered.
    pub freeing: bool,
}

/// What others may see of the board: enough to say why a job waits and what runs where.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub candidates: Vec<Candidate>,
    pub estimates: Arc<Estimates>,
    /// The attempts that are under way.
    pub running: HashMap<JobId, Running>,
    /// Of each backend that was given a job with models.
    pub loads: Arc<HashMap<BackendId, Loads>>,
    /// Every attempt found at start has been resolved, or its backend is known to be down.
    pub reconciled: bool,
}

impl Board {
    /// Attempts that nobody follows are in doubt: all of them at start, later those whose commit seemed to have failed.
    pub(super) fn take_up_found(&mut self, ledger: &Ledger, now: UnixMillis) {
        for job in ledger.dispatched() {
            let Some(attempt) = job.attempt() else { continue };
            self.tracks.entry(job.id).or_insert_with(|| Track::found(Arc::clone(job), attempt, now));
        }
    }

    pub(super) fn belief(&mut self, backend: &BackendId, now: UnixMillis) -> &mut Belief {
        self.beliefs.entry(backend.clone()).or_insert_with(|| Belief { idle_since: now, ..Belief::default() })
    }

    pub(super) fn tracks_on<'a>(&'a self, backend: &'a BackendId) -> impl Iterator<Item = &'a Track> {
        self.tracks.values().filter(move |track| track.backend == *backend)
    }

    /// A backend that came up anew, or went away, holds nothing.
    pub(super) fn forget_residency(&mut self, backend: &BackendId) {
        if let Some(belief) = self.beliefs.get_mut(backend) {
            belief.resident.clear();
        }
    }

    pub(super) fn candidates(&self, fleet: &Fleet, now: UnixMillis) -> Vec<Candidate> {
        let candidate = |backend: &Arc<Backend>| {
            let belief = self.beliefs.get(&backend.id).cloned().unwrap_or_default();
            Candidate {
                backend: Arc::clone(backend),
                residual_seconds: self.residual_seconds(&backend.id, now),
                foreign: self.foreign(backend, &belief),
                resident: belief.resident,
                rests_until: belief.rests_until,
            }
        };
        fleet.backends.iter().map(candidate).collect()
    }

    /// Where it was not read yet whose the prompts are: those beyond our own. A count from before our last job ended may
    /// still hold that one.
    fn foreign(&self, backend: &Backend, belief: &Belief) -> u64 {
        let Some(read) = &backend.backlog else { return 0 };
        let beyond_ours = || read.value.total.saturating_sub(self.tracks_on(&backend.id).count() as u64);
        read.value.foreign.unwrap_or_else(|| if read.at > belief.idle_since { beyond_ours() } else { 0 })
    }

    fn residual_seconds(&self, backend: &BackendId, now: UnixMillis) -> Option<f64> {
        let open = self.tracks_on(backend).filter(|track| !track.is_released());
        open.map(|track| self.left_seconds(track, now)).reduce(|sum, left| sum + left)
    }

    fn left_seconds(&self, track: &Track, now: UnixMillis) -> f64 {
        let models = track.job.needs.models();
        let load = if track.models_loaded { 0.0 } else { self.estimates.load_seconds(&models) };
        let spent = (now - track.started_at.unwrap_or(track.dispatched_at)).as_secs_f64();
        (load + self.estimates.run_seconds(&models) - spent).max(OVERDUE * spent)
    }

    /// The attempts that are under way, for those who look.
    pub(super) fn running(&self, now: UnixMillis) -> HashMap<JobId, Running> {
        let running = |track: &Track| Running {
            backend: track.backend.clone(),
            attempt: track.attempt,
            started_at: track.started_at,
            first_step_at: track.first_step_at,
            node: track.node.clone(),
            steps: track.steps,
            models_loaded: track.models_loaded,
            is_released: track.is_released(),
            left_seconds: if track.is_released() { 0.0 } else { self.left_seconds(track, now) },
        };
        self.tracks.iter().map(|(job, track)| (*job, running(track))).collect()
    }

    /// A job with models was sent.
    pub(super) fn count_load(&mut self, backend: &BackendId, loaded: bool) {
        let loads = Arc::make_mut(&mut self.loads).entry(backend.clone()).or_default();
        if loaded {
            loads.avoided += 1;
        } else {
            loads.caused += 1;
        }
    }

    pub(super) fn loads(&self) -> Arc<HashMap<BackendId, Loads>> {
        Arc::clone(&self.loads)
    }

    /// Backends without an attempt of ours, and since when.
    pub(super) fn idle<'a>(&'a self, candidates: &'a [Candidate]) -> impl Iterator<Item = Idle<'a>> {
        candidates.iter().filter_map(|candidate| {
            let belief = self.beliefs.get(&candidate.backend.id)?;
            let busy = belief.freeing || self.tracks_on(&candidate.backend.id).next().is_some();
            (!busy).then_some(Idle { candidate, since: belief.idle_since })
        })
    }

    /// Waiting jobs that are not being dispatched already.
    pub(super) fn undispatched<'a>(&'a self, ledger: &'a Ledger) -> impl Iterator<Item = &'a Arc<Job>> {
        ledger.waiting().filter(|job| !self.tracks.contains_key(&job.id))
    }

    /// Whether what start-up found is settled: nothing in doubt on a backend that could be asked, nothing on one that
    /// was not asked yet.
    pub(super) fn is_reconciled(&self, fleet: &Fleet) -> bool {
        self.tracks.values().all(|track| {
            let doubtful = matches!(track.phase, Phase::Doubtful { .. } | Phase::LookingUp);
            let known_down = fleet.get(&track.backend).is_none_or(|backend| backend.health.is_down());
            !doubtful || known_down
        })
    }
}
