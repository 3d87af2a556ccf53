//! What dispatch knows beyond the fleet and the ledger: the attempts under way, what each backend is believed to hold,
//! what was learned. One owner, the driver; others see a [`View`].

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::kept::Kept;
use super::pace::Pace;
use super::running::{Loads, Running};
use super::step::Lost;
use super::track::{Phase, Track};
use super::usage::Usage;
use super::waiting::Waiting;
use crate::clock::UnixMillis;
use crate::fleet::figures::Process;
use crate::fleet::{Backend, Fleet};
use crate::id::{BackendId, JobId};
use crate::job::Job;
use crate::limits;
use crate::queue::Ledger;
use crate::route::free::{Doing, Frees, Idle, Reading, Reason, Source, Watch};
use crate::route::{Assignment, Book, Candidate, Conduct, Policy, Room, suits};

/// A job that runs past its estimate is expected to need this share of what it has taken already.
const OVERDUE: f64 = 0.2;

#[derive(Default)]
pub(super) struct Board {
    /// In an order of its own, so that the same board gives the same commands.
    pub tracks: BTreeMap<JobId, Track>,
    beliefs: BTreeMap<BackendId, Belief>,
    /// Of jobs that wait again after an attempt.
    pub pasts: BTreeMap<JobId, Past>,
    /// All that decides which job goes where.
    pub book: Book,
    waiting: Waiting,
    loads: Arc<HashMap<BackendId, Loads>>,
    /// Owners that have as much as they may.
    pub spent: BTreeSet<String>,
    /// How long jobs may be silent.
    pub pace: Pace,
    /// How much of the fleet owners may have, and have.
    pub usage: Usage,
}

/// What is believed of one backend.
#[derive(Clone, Debug, Default)]
pub(super) struct Belief {
    /// When it last ended a job, or was first seen.
    pub idle_since: UnixMillis,
    pub rests_until: UnixMillis,
    /// Times in a row that it could not be given a job.
    pub refusals: u32,
    /// When it was last seen working for others.
    pub others_at: UnixMillis,
    /// Asked to free its memory, and what came of it is not known yet.
    pub freeing: Option<Freeing>,
    pub frees: Arc<Frees>,
    /// When a job ran out of memory there, if it was not asked to free it since.
    pub wants_free: Option<UnixMillis>,
    /// What it could not run it could, once its memory was freed: it makes no room by itself.
    pub keeps_models: bool,
    /// Times in a row that its GPU has failed.
    pub gpu_failures: u32,
    /// ComfyUI's process, by its agent, and when our socket to it was opened.
    pub process: Option<Process>,
    pub opened_at: UnixMillis,
}

/// A free that is under way.
#[derive(Clone, Debug)]
pub(super) struct Freeing {
    pub number: u64,
    pub reason: Reason,
    pub before: Option<Reading>,
    /// What ComfyUI held, by its agent.
    pub held_bytes: Option<u64>,
    /// It is known or believed to hold something.
    pub holds: bool,
    pub doing: Doing,
    /// Once it was accepted.
    pub watch: Option<Watch>,
}

/// What earlier attempts of a job left.
#[derive(Clone, Debug)]
pub(super) struct Past {
    job: Arc<Job>,
    /// Its client was told that it has begun.
    pub begun: bool,
    /// The attempt that was not sent, since it could not be written. Perhaps it was all the same.
    pub unsent: Option<u32>,
    pub out_of_memory_on: Option<BackendId>,
    /// Where it is not tried again while others may run it.
    pub unfit: BTreeMap<BackendId, Lost>,
}

/// What others may see of the board: enough to say why a job waits and what runs where.
#[derive(Clone, Debug, Default)]
pub struct View {
    pub candidates: Arc<[Candidate]>,
    /// The attempts that are under way.
    pub running: HashMap<JobId, Running>,
    /// Of each backend that was given a job with models.
    pub loads: Arc<HashMap<BackendId, Loads>>,
    /// Of the backends that were ever asked to free memory.
    pub frees: BTreeMap<BackendId, Arc<Frees>>,
    /// Owners that have as much as they may, so that no more of their jobs may begin.
    pub spent: BTreeSet<String>,
    /// Every attempt found at start has been resolved, or its backend is known to be down.
    pub reconciled: bool,
}

impl Board {
    pub(super) fn knowing(policy: Policy, kept: Kept, usage: Usage) -> Self {
        let Kept { fits, pace, learned } = kept;
        Self { book: Book::knowing(policy, fits, learned), pace, usage, ..Self::default() }
    }

    /// Attempts that nobody follows are in doubt: all of them at start, later those whose commit seemed to have failed. These
    /// are returned: nobody has sent them.
    pub(super) fn take_up_found(&mut self, ledger: &Ledger, now: UnixMillis) -> Vec<JobId> {
        let mut unsent = Vec::new();
        for job in ledger.dispatched() {
            let (Some(attempt), Entry::Vacant(track)) = (job.attempt(), self.tracks.entry(job.id)) else {
                continue;
            };
            track.insert(Track::found(Arc::clone(job), attempt, now));
            let past = self.pasts.get_mut(&job.id);
            if past.is_some_and(|past| past.unsent.take() == Some(attempt.number)) {
                unsent.push(job.id);
            }
        }
        unsent
    }

    pub(super) fn belief(&mut self, backend: &BackendId, now: UnixMillis) -> &mut Belief {
        self.beliefs.entry(backend.clone()).or_insert_with(|| Belief { idle_since: now, ..Belief::default() })
    }

    pub(super) fn past(&mut self, job: &Arc<Job>) -> &mut Past {
        self.pasts.entry(job.id).or_insert_with(|| Past {
            job: Arc::clone(job),
            begun: false,
            unsent: None,
            out_of_memory_on: None,
            unfit: BTreeMap::new(),
        })
    }

    pub(super) fn tracks_on<'a>(&'a self, backend: &'a BackendId) -> impl Iterator<Item = &'a Track> {
        self.tracks.values().filter(move |track| track.backend == *backend)
    }

    /// A backend that came up anew, or went away, holds nothing, and nothing is held against it but that its GPU failed:
    /// it has one job to prove that it works again.
    pub(super) fn begin_anew(&mut self, backend: &BackendId) {
        self.book.forget_models(backend);
        if let Some(belief) = self.beliefs.get_mut(backend) {
            (belief.wants_free, belief.keeps_models) = (None, false);
            if belief.gpu_failures > 0 {
                belief.rests_until = UnixMillis::default();
            }
        }
        for past in self.pasts.values_mut() {
            past.unfit.remove(backend);
        }
    }

    /// Its agent sees another process than before. Where our socket was opened anew that is known already; agents look at
    /// processes less often than we hear of them.
    pub(super) fn has_other_process(&mut self, backend: &Backend, now: UnixMillis) -> bool {
        let seen = backend.agent.as_ref().and_then(|read| read.value.comfyui.as_ref());
        let Some(seen) = seen.map(|read| read.value) else { return false };
        let belief = self.belief(&backend.id, now);
        let before = belief.process.replace(seen);
        let is_known = now - belief.opened_at < limits::PROCESS_SEEN_WITHIN;
        before.is_some_and(|before| seen.is_another_than(&before)) && !is_known
    }

    /// The jobs that go to a backend now, the best so many.
    pub(super) fn route(&mut self, most: usize, now: UnixMillis) -> Vec<Assignment> {
        let assignments = self.book.route(most, now);
        assignments.iter().for_each(|assignment| self.waiting.give_out(assignment.job));
        assignments
    }

    /// What decides is as the fleet and the ledger are now.
    pub(super) fn see(&mut self, fleet: &Fleet, ledger: &Ledger, now: UnixMillis) {
        let waits = |owner: &str| ledger.waiting_len_of(owner) > 0;
        let accounts = self.usage.accounts(self.tracks.values(), waits, now);
        let spent = accounts.left().filter(|(_, left)| *left == 0).map(|(owner, _)| owner.to_owned());
        self.spent = spent.collect();
        self.book.see_accounts(accounts, now);
        let candidates = self.candidates(fleet, now);
        let is_taken = |job| self.tracks.contains_key(&job);
        let changes = self.waiting.changes(ledger, || self.book.waiting(), is_taken);
        self.book.see(candidates, changes, now);
    }

    pub(super) fn candidates(&self, fleet: &Fleet, now: UnixMillis) -> Vec<Candidate> {
        let unknown = Belief::default();
        let candidate = |backend: &Arc<Backend>| {
            let belief = self.beliefs.get(&backend.id).unwrap_or(&unknown);
            Candidate {
                backend: Arc::clone(backend),
                residual_seconds: self.residual_seconds(&backend.id, now),
                foreign: self.foreign(backend, belief),
                resident: self.book.models_of(&backend.id),
                rests_until: belief.rests_until,
                room: Room::of(backend, now),
                conduct: belief.conduct(),
            }
        };
        let mut candidates: Vec<Candidate> = fleet.backends.iter().map(candidate).collect();
        self.name_unfit(fleet, &mut candidates);
        candidates
    }

    /// A job is kept from a backend that could not run it only while there are others that may.
    fn name_unfit(&self, fleet: &Fleet, candidates: &mut [Candidate]) {
        for (job, past) in &self.pasts {
            for (id, lost) in &past.unfit {
                let unfit = candidates.iter_mut().find(|candidate| candidate.backend.id == *id);
                if let Some(candidate) = unfit.filter(|_| past.has_elsewhere(fleet, *lost)) {
                    candidate.conduct.unfit.insert(*job);
                }
            }
        }
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
        let expected =
            track.expected_seconds.unwrap_or_else(|| self.book.run_seconds(&track.backend, &track.job));
        let spent = (now - track.started_at.unwrap_or(track.dispatched_at)).as_secs_f64();
        (expected - spent).max(OVERDUE * spent)
    }

    /// The attempts that are under way, for those who look.
    pub(super) fn running(&self, now: UnixMillis) -> HashMap<JobId, Running> {
        let running = |track: &Track| Running {
            backend: track.backend.clone(),
            attempt: track.attempt,
            has_begun: track.started_at.is_some(),
            has_stepped: track.first_step_at.is_some(),
            course: track.course(),
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
    pub(super) fn idle(&self) -> impl Iterator<Item = Idle<'_>> {
        self.book.candidates().iter().filter_map(|candidate| {
            let belief = self.beliefs.get(&candidate.backend.id)?;
            let busy = belief.freeing.is_some() || self.tracks_on(&candidate.backend.id).next().is_some();
            let since = belief.idle_since.max(belief.others_at);
            (!busy).then_some(Idle { candidate, since, frees: &belief.frees })
        })
    }

    /// Backends where a job ran out of memory, which are to be freed before they get another.
    pub(super) fn want_free(&self, now: UnixMillis) -> impl Iterator<Item = &BackendId> {
        let is_due = move |since| now - since >= limits::TIDIES_UP_FOR;
        let wants = move |belief: &Belief| belief.wants_free.is_some_and(is_due) && belief.freeing.is_none();
        self.beliefs.iter().filter(move |(_, belief)| wants(belief)).map(|(backend, _)| backend)
    }

    pub(super) fn keeps_models(&self, backend: &BackendId) -> bool {
        self.beliefs.get(backend).is_some_and(|belief| belief.keeps_models)
    }

    pub(super) fn frees(&self) -> BTreeMap<BackendId, Arc<Frees>> {
        let tried = self.beliefs.iter().filter(|(_, belief)| belief.frees.last().next().is_some());
        tried.map(|(backend, belief)| (backend.clone(), Arc::clone(&belief.frees))).collect()
    }

    /// What it is asked to free, and what came of it is not known yet.
    pub(super) fn freeing(&self) -> Vec<BackendId> {
        let freeing = self.beliefs.iter().filter(|(_, belief)| belief.freeing.is_some());
        freeing.map(|(backend, _)| backend.clone()).collect()
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

impl Belief {
    fn conduct(&self) -> Conduct {
        Conduct {
            freeing: self.wants_free.is_some() || self.freeing.as_ref().is_some_and(Freeing::comes_first),
            suspect: self.gpu_failures > 0,
            unfit: BTreeSet::new(),
        }
    }
}

impl Freeing {
    /// What runs when it is asked comes first, so the next job may as well. Nor is anything held up for ComfyUI's own
    /// figures, which are read seldom.
    fn comes_first(&self) -> bool {
        let is_seen_soon = self.watch.as_ref().is_none_or(|watch| watch.source() == Some(Source::Agent));
        self.doing == Doing::Nothing && is_seen_soon
    }
}

impl Past {
    /// Whether another backend may run it. For what a backend lacks it waits until one can be asked; after a failure of a
    /// GPU only for one that takes jobs now.
    pub(super) fn has_elsewhere(&self, fleet: &Fleet, lost: Lost) -> bool {
        fleet.backends.iter().any(|backend| {
            let is_open = lost == Lost::Lacking || backend.takes_jobs();
            is_open && !self.unfit.contains_key(&backend.id) && suits(backend, &self.job)
        })
    }
}
