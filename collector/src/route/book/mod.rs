//! The router's books: which job is which ticket, which backend which slot. They are told of jobs by changes, and see the backends
//! as they are, before every decision; and they say in words what the router says in numbers.

mod admission;
mod explain;
mod forecast;
mod kind;
mod learned;
mod models;
mod seat;
mod turns;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

pub use self::forecast::{Expected, Forecast, Outlook};
use self::kind::{Kinds, Sizes, arrival_of, kind_of, owner_as_tenant};
use self::learned::OfBackend;
pub use self::learned::{Learned, Timing};
use self::seat::{Offer, Seat, Shape, standing};
use self::turns::Turns;
use super::key::{AssetId, ByKey, KindId, SlotId, Ticket};
use super::tempo::Tempo;
use super::vram;
use super::{Arrival, Asset, Candidate, Fits, Given, Kind, Memory, Policy, Router, Slot, Tier, Why};
use crate::clock::UnixMillis;
use crate::id::{BackendId, JobId};
use crate::job::{self, Job};
use crate::limits;
use crate::tenant::Accounts;

/// A job that is to go to a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Assignment {
    pub job: JobId,
    pub backend: BackendId,
    pub why: Why,
    /// Where its models are believed to be there.
    pub loads: Vec<(Asset, Tier)>,
}

#[derive(Clone, Debug)]
pub struct Book {
    router: Router,
    tempo: Tempo,
    /// By slot.
    seats: Vec<Seat>,
    slots: HashMap<BackendId, SlotId>,
    /// The backends as they were seen last.
    candidates: Arc<[Candidate]>,
    /// What jobs need of a GPU's memory.
    fits: Arc<Fits>,
    fits_seen: u64,
    waiting: ByKey<Ticket, Waits>,
    tickets: HashMap<JobId, Ticket>,
    /// Of the kinds that wait.
    kinds: ByKey<KindId, Sample>,
    /// Those of them whose place may change at any time.
    unsettled: BTreeSet<KindId>,
    /// Jobs that some backend could not run.
    unfit: BTreeSet<JobId>,
    /// What owners may have, and have; and the jobs of those that have a bound.
    accounts: Accounts,
    turns: BTreeMap<String, Turns>,
    names: ByKey<AssetId, Arc<str>>,
    names_most: usize,
    sizes: Sizes,
    learned: Learned,
}

#[derive(Clone, Debug)]
struct Waits {
    job: Arc<Job>,
    kind: KindId,
    /// The router was shown it, now or before.
    was_shown: bool,
}

/// A job of a kind; to a decision all of them are the same.
#[derive(Clone, Debug)]
struct Sample {
    job: Arc<Job>,
    memory: vram::Signature,
}

impl Default for Book {
    fn default() -> Self {
        Self::knowing(Policy::default(), Fits::default(), Learned::default())
    }
}

impl Book {
    pub fn knowing(policy: Policy, fits: Fits, learned: Learned) -> Self {
        let mut router = Router::new(policy);
        // Times of another tempo mean nothing here.
        let learned = if learned.tempo.unwrap_or(1.0) == policy.tempo { learned } else { Learned::default() };
        router.runs = learned.runs.clone();
        Self {
            tempo: Tempo(policy.tempo),
            router,
            seats: Vec::new(),
            slots: HashMap::new(),
            candidates: Arc::default(),
            fits: Arc::new(fits),
            fits_seen: 0,
            waiting: ByKey::default(),
            tickets: HashMap::new(),
            kinds: ByKey::default(),
            unsettled: BTreeSet::new(),
            unfit: BTreeSet::new(),
            accounts: Accounts::default(),
            turns: BTreeMap::new(),
            names: ByKey::default(),
            names_most: limits::MODELS_IN_DEMAND,
            sizes: Sizes::default(),
            learned,
        }
    }

    pub fn candidates(&self) -> &Arc<[Candidate]> {
        &self.candidates
    }

    pub fn candidate(&self, backend: &BackendId) -> Option<&Candidate> {
        let seat = self.seats.get(self.slots.get(backend)?.index())?;
        self.candidates.get(seat.at)
    }

    pub fn fits(&self) -> &Fits {
        &self.fits
    }

    pub fn fits_mut(&mut self) -> &mut Fits {
        Arc::make_mut(&mut self.fits)
    }

    /// Whether its owner has what it may.
    pub fn is_exhausted(&self, job: &Job) -> bool {
        self.accounts.exhausted(job.owner.as_deref()).is_some()
    }

    /// The jobs that it believes to wait, in the order in which they came.
    pub fn waiting(&self) -> Vec<JobId> {
        let mut jobs: Vec<(Ticket, JobId)> =
            self.waiting.iter().map(|(ticket, waits)| (*ticket, waits.job.id)).collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, job)| job).collect()
    }

    /// Owners have so much now. Their weights hold for jobs that come, or get their turn, after it.
    pub fn see_accounts(&mut self, accounts: Accounts, now: UnixMillis) {
        let left = accounts.left().map(|(owner, left)| (owner_as_tenant(owner), left));
        self.router.bound(left.collect());
        let is_granted_anew = !accounts.are_of_the_same(&self.accounts);
        self.accounts = accounts;
        if is_granted_anew {
            self.bound_anew(now);
        }
    }

    /// The backends are so now, and of the jobs that wait these have changed; with `None` they wait no longer.
    pub fn see(
        &mut self,
        candidates: Vec<Candidate>,
        jobs: impl IntoIterator<Item = (JobId, Option<Arc<Job>>)>,
        now: UnixMillis,
    ) {
        let changed = self.see_backends(candidates, now);
        let mut kinds = Kinds::default();
        for (id, waits) in jobs {
            match waits {
                Some(job) => {
                    self.arrive(Ticket(job.place.arrival), &job, &kinds.of(&job, &self.sizes), now);
                }
                None => self.withdraw(id),
            }
        }
        self.take_turns(now);
        self.admit_anew(&changed, now);
    }

    /// The slots where other jobs may run than before.
    fn see_backends(&mut self, candidates: Vec<Candidate>, now: UnixMillis) -> BTreeSet<SlotId> {
        self.candidates = candidates.into();
        self.vacate();
        let candidates = Arc::clone(&self.candidates);
        let tempo = self.tempo;
        let foreign_seconds = tempo.seconds(self.router.typical_run_seconds());
        let (mut changed, mut resized) = (BTreeSet::new(), BTreeSet::new());
        for (at, candidate) in candidates.iter().enumerate() {
            let slot = self.slot_of(&candidate.backend.id);
            self.router.stand(slot, standing(candidate, foreign_seconds, now, tempo));
            let Some(seat) = self.seats.get_mut(slot.index()) else { continue };
            seat.at = at;
            let (offer, shape) = (Offer::of(candidate), Shape::of(&candidate.backend));
            if seat.offer != offer {
                seat.offer = offer;
                changed.insert(slot);
            }
            if seat.shape != shape {
                seat.shape = shape;
                self.router.resize_memory(slot, shape.vram_gigabytes, shape.ram_gigabytes, shape.keeps);
            }
            let models = candidate.backend.agent.as_ref().and_then(|read| read.value.models.as_ref());
            if let Some(models) = models
                && !seat.models.as_ref().is_some_and(|seen| Arc::ptr_eq(seen, models))
            {
                resized.extend(self.sizes.learn(models));
                seat.models = Some(Arc::clone(models));
            }
        }
        if !resized.is_empty() {
            self.resize_models(&resized);
        }
        changed
    }

    /// These files are of other sizes than was believed. The jobs that load them wait on as they did.
    fn resize_models(&mut self, resized: &BTreeSet<&str>) {
        let is_resized = |asset: &job::Asset| resized.contains(asset.name.as_str());
        let loads = |sample: &&Sample| sample.job.needs.assets.iter().any(is_resized);
        let kinds = self.kinds.values().filter(loads).map(|sample| kind_of(&sample.job, &self.sizes));
        self.router.renew_kinds(kinds);
    }

    /// Backends that are no longer of the fleet leave their slots to others.
    fn vacate(&mut self) {
        let stays: BTreeSet<&BackendId> =
            self.candidates.iter().map(|candidate| &candidate.backend.id).collect();
        let gone: Vec<BackendId> = self.slots.keys().filter(|id| !stays.contains(id)).cloned().collect();
        for (id, slot) in gone.into_iter().filter_map(|id| self.slots.remove_entry(&id)) {
            if let Some(slot) = self.router.slot(slot) {
                self.learned.backends.insert(id, OfBackend::of(slot));
            }
            if self.learned.backends.len() > limits::BACKENDS {
                self.learned.backends.pop_first();
            }
            self.router.replace_slot(slot, Slot::default());
            if let Some(seat) = self.seats.get_mut(slot.index()) {
                *seat = Seat::default();
            }
        }
    }

    fn slot_of(&mut self, backend: &BackendId) -> SlotId {
        if let Some(slot) = self.slots.get(backend) {
            return *slot;
        }
        let mut slot = Slot::new(Memory::default());
        if let Some(learned) = self.learned.backends.get(backend) {
            learned.tell(&mut slot);
        }
        let vacant = (0..).map(SlotId).zip(&self.seats).find(|(_, seat)| seat.backend.is_none());
        let id = match vacant.map(|(id, _)| id) {
            Some(id) => {
                self.router.replace_slot(id, slot);
                id
            }
            None => {
                self.seats.push(Seat::default());
                self.router.add_slot(slot)
            }
        };
        if let Some(seat) = self.seats.get_mut(id.index()) {
            seat.backend = Some(backend.clone());
        }
        self.slots.insert(backend.clone(), id);
        id
    }

    fn arrive(&mut self, ticket: Ticket, job: &Arc<Job>, kind: &Kind, now: UnixMillis) {
        if let Some(waits) = self.waiting.get(&ticket) {
            let particulars = |job: &Job| (job.id, job.place, Arc::clone(&job.wishes));
            if waits.kind == kind.id && particulars(&waits.job) == particulars(job) {
                return;
            }
            self.withdraw(waits.job.id);
        }
        self.tickets.insert(job.id, ticket);
        self.waiting.insert(ticket, Waits { job: Arc::clone(job), kind: kind.id, was_shown: false });
        if !self.keep_back(ticket, job) {
            self.show(ticket, job, kind, job.submitted_at, now);
        }
    }

    /// The router may give it out from now on; `since`: when it could have begun first.
    fn show(&mut self, ticket: Ticket, job: &Arc<Job>, kind: &Kind, since: UnixMillis, now: UnixMillis) {
        if !self.router.knows(kind.id) {
            self.introduce(kind.clone(), job, now);
        }
        let again = self.waiting.get_mut(&ticket).is_some_and(|waits| {
            waits.kind = kind.id;
            std::mem::replace(&mut waits.was_shown, true)
        });
        let weight = self.accounts.weight(job.owner.as_deref());
        let arrival = Arrival { weight, again, ..arrival_of(job, ticket, kind.id, since, self.tempo) };
        self.router.arrive(arrival, self.tempo.at(now));
    }

    /// The same of one that could not have begun before.
    fn show_now(&mut self, ticket: Ticket, job: &Arc<Job>, now: UnixMillis) {
        let kind = kind_of(job, &self.sizes);
        self.show(ticket, job, &kind, now, now);
    }

    fn introduce(&mut self, kind: Kind, job: &Arc<Job>, now: UnixMillis) {
        let id = kind.id;
        self.name_models(job);
        let sample = Sample { job: Arc::clone(job), memory: vram::Signature::of(&job.needs) };
        self.router.introduce(kind, |_| false);
        if self.is_unsettled(&sample) {
            self.unsettled.insert(id);
        }
        self.kinds.insert(id, sample);
        let slots = self.slots.values().copied().collect();
        self.admit(id, &slots, now);
    }

    fn withdraw(&mut self, job: JobId) {
        let Some(ticket) = self.tickets.get(&job).copied() else { return };
        self.router.withdraw(ticket);
        self.strike(ticket);
    }

    /// The router has it no more.
    fn strike(&mut self, ticket: Ticket) -> Option<Waits> {
        let waits = self.waiting.remove(&ticket)?;
        self.tickets.remove(&waits.job.id);
        self.leave_turns(ticket, &waits.job);
        if !self.router.knows(waits.kind) {
            self.kinds.remove(&waits.kind);
            self.unsettled.remove(&waits.kind);
        }
        Some(waits)
    }

    /// The jobs that go to a backend now, the best so many. They count as given out.
    pub fn route(&mut self, most: usize, now: UnixMillis) -> Vec<Assignment> {
        let given = self.router.route_most(self.tempo.at(now), most);
        given.into_iter().filter_map(|given| self.assignment(given)).collect()
    }

    fn assignment(&mut self, Given { choice, loads }: Given) -> Option<Assignment> {
        let job = self.strike(choice.ticket)?.job.id;
        let backend = self.seats.get(choice.slot.index())?.backend.clone()?;
        let [load_seconds, run_seconds] = self.tempo.cost(&choice);
        let why = Why { rule: choice.rule, load_seconds, run_seconds };
        Some(Assignment { job, backend, why, loads })
    }

    /// Seconds that it is expected to take on a backend where its models are loaded.
    pub fn run_seconds(&self, backend: &BackendId, job: &Job) -> f64 {
        let slot = self.slots.get(backend).and_then(|slot| self.router.slot(*slot));
        let speed = slot.map_or(1.0, |slot| slot.speed);
        self.tempo.seconds(self.router.run_seconds(&kind_of(job, &self.sizes).signature)) / speed
    }

    /// What an attempt has shown that ended well.
    pub fn learn(&mut self, backend: &BackendId, job: &Job, loads: &[(Asset, Tier)], timing: Timing) {
        let Some(slot) = self.slots.get(backend).copied() else { return };
        let Timing { load_seconds, mut run_seconds, all_seconds } = timing;
        if let Some(seconds) = load_seconds
            && self.router.learn_load(slot, loads, self.tempo.of(seconds))
        {
            run_seconds = all_seconds - seconds;
        }
        self.router.learn_run(slot, &kind_of(job, &self.sizes), self.tempo.of(run_seconds));
    }

    /// Of backends that have gone as well, while there are not too many.
    pub fn learned(&self) -> Learned {
        let mut learned =
            Learned { tempo: Some(self.tempo.0), runs: self.router.runs.clone(), ..self.learned.clone() };
        let slots = self.slots.iter().filter_map(|(id, slot)| Some((id, self.router.slot(*slot)?)));
        learned.backends.extend(slots.map(|(id, slot)| (id.clone(), OfBackend::of(slot))));
        if learned.backends.len() > limits::BACKENDS {
            learned.backends.retain(|id, _| self.slots.contains_key(id));
        }
        learned
    }

    /// Which jobs wait, in which order, and where each may run.
    #[cfg(test)]
    pub(super) fn told(&self) -> Vec<String> {
        let admitted = |kind: KindId, slot: SlotId| {
            let known = self.router.kinds.get(&kind).filter(|known| known.may_run_on(slot));
            known.map(|known| known.fetch_seconds(slot))
        };
        let told = |(ticket, waits): (&Ticket, &Waits)| {
            let mut places: Vec<_> =
                self.slots.iter().map(|(id, slot)| (id, admitted(waits.kind, *slot))).collect();
            places.sort_by_key(|(id, _)| *id);
            let entry = self.router.waiting.get(*ticket);
            let place = entry.map(|entry| entry.waiter.place);
            let main = entry.and_then(|entry| self.router.waiting.group(entry.group)?.main());
            format!("{ticket:?} {place:?} {main:?} {places:?}")
        };
        let mut all: Vec<String> = self.waiting.iter().map(told).collect();
        all.sort();
        all
    }
}
