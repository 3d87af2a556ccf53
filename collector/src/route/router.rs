//! All that a decision looks at, kept up to date by deltas: who waits, what each backend does and holds, what was learned.
//! What it decides stands in `round` and `desk`; here is what each event and each decision changes.

use std::collections::BTreeMap;

use super::demand::Demand;
use super::explain::{self, Verdict};
use super::key::{AssetId, ByKey, KindId, SlotId, TenantId, Ticket};
use super::memory::{Asset, Keeps, Memory, Tier};
use super::policy::Policy;
use super::round::{Choice, Round};
use super::runs::{Runs, Signature};
use super::share::Shares;
use super::slot::{Slot, Standing};
use super::waiting::{Entry, Lane, Rank, Waiter, Waiting};

/// Weight of the newest job's wait in the mean wait.
const NEWEST_WAIT: f64 = 0.02;
/// Weight of the newest run in what is known of a backend's speed, once there were many.
const NEWEST_SPEED: f64 = 0.02;
/// A load that takes this much longer than expected, and so many seconds, may show that a model was not where it was believed.
const SURPRISE: f64 = 1.5;
const SURPRISE_SECONDS: f64 = 0.5;

/// What jobs of a kind have in common.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    pub id: KindId,
    /// Each once, the largest first.
    pub assets: Vec<Asset>,
    pub signature: Signature,
}

impl Kind {
    pub(super) fn main(&self) -> Option<Asset> {
        self.assets.first().copied()
    }
}

/// A job that begins to wait.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    pub ticket: Ticket,
    pub kind: KindId,
    pub tenant: TenantId,
    /// The tenant's weight beside others.
    pub weight: f64,
    /// It has waited before and was withdrawn: that it asks for its models is known.
    pub again: bool,
    pub rank: Rank,
    /// Its order among its tenant's jobs of its rank and kind.
    pub place: f64,
    /// When it came first, in seconds.
    pub arrived: f64,
    pub deadline: Option<f64>,
}

/// What is known of jobs of one kind while any of them waits.
#[derive(Clone, Debug)]
pub(super) struct Known {
    pub kind: Kind,
    /// Expected run time on a backend of speed 1.
    pub run_seconds: f64,
    /// Where it may run, a bit a slot.
    may: Vec<u64>,
    /// Where other files have to be brought first, for so many seconds.
    fetch: Vec<(SlotId, f64)>,
    waiting: usize,
}

impl Known {
    pub(super) fn may_run_on(&self, slot: SlotId) -> bool {
        self.may.get(slot.index() / 64).is_some_and(|word| word >> (slot.index() % 64) & 1 == 1)
    }

    pub(super) fn fetch_seconds(&self, slot: SlotId) -> f64 {
        self.fetch.iter().find(|(on, _)| *on == slot).map_or(0.0, |(_, seconds)| *seconds)
    }

    fn allow(&mut self, slot: SlotId, allowed: bool) {
        let word = slot.index() / 64;
        if self.may.len() <= word {
            self.may.resize(word + 1, 0);
        }
        if let Some(word) = self.may.get_mut(word) {
            let bit = 1 << (slot.index() % 64);
            if allowed { *word |= bit } else { *word &= !bit }
        }
    }
}

/// A job given out, and where its models were believed to be then.
#[derive(Clone, Debug, PartialEq)]
pub struct Given {
    pub choice: Choice,
    pub loads: Vec<(Asset, Tier)>,
}

#[derive(Clone, Debug, Default)]
pub struct Router {
    pub(super) policy: Policy,
    pub(super) slots: Vec<Slot>,
    pub(super) waiting: Waiting,
    pub(super) kinds: ByKey<KindId, Known>,
    pub(super) holders: ByKey<AssetId, Vec<(SlotId, Tier)>>,
    pub(super) shares: Shares,
    /// How many more may begin, of tenants that may not begin as many as they like.
    left: ByKey<TenantId, usize>,
    pub(super) demand: Demand,
    pub(super) runs: Runs,
    pub(super) mean_wait: f64,
}

impl Router {
    pub fn new(policy: Policy) -> Self {
        Self { policy, ..Self::default() }
    }

    pub fn add_slot(&mut self, slot: Slot) -> SlotId {
        let id = SlotId(u32::try_from(self.slots.len()).unwrap_or(u32::MAX));
        self.slots.push(slot);
        id
    }

    /// Another backend stands in its place; where jobs may run there is still what it was.
    pub fn replace_slot(&mut self, id: SlotId, with: Slot) {
        self.forget_memory(id);
        if let Some(slot) = self.slots.get_mut(id.index()) {
            *slot = with;
        }
    }

    pub fn slot(&self, slot: SlotId) -> Option<&Slot> {
        self.slots.get(slot.index())
    }

    pub fn resize_memory(&mut self, slot: SlotId, vram_gigabytes: f64, ram_gigabytes: f64, keeps: Keeps) {
        self.change_memory(slot, |memory| memory.resize(vram_gigabytes, ram_gigabytes, keeps));
    }

    pub fn stand(&mut self, slot: SlotId, standing: Standing) {
        if let Some(slot) = self.slots.get_mut(slot.index()) {
            slot.standing = standing;
            slot.is_long &= matches!(standing, Standing::Busy { .. });
        }
    }

    /// These tenants may begin so many more; all others as many as they like.
    pub fn bound(&mut self, left: ByKey<TenantId, usize>) {
        self.left = left;
    }

    pub(super) fn may_begin(&self, tenant: TenantId) -> bool {
        self.left.is_empty() || self.left.get(&tenant).is_none_or(|left| *left > 0)
    }

    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    pub fn has(&self, ticket: Ticket) -> bool {
        self.waiting.get(ticket).is_some()
    }

    pub fn run_seconds(&self, signature: &Signature) -> f64 {
        self.runs.seconds(signature)
    }

    pub fn typical_run_seconds(&self) -> f64 {
        self.runs.typical_seconds()
    }

    /// Whether a job of that kind waits.
    pub fn knows(&self, kind: KindId) -> bool {
        self.kinds.contains_key(&kind)
    }

    /// Whether jobs of a kind may run on a slot has changed, or for how long files have to be brought there first;
    /// `None`: they may not.
    pub fn admit(&mut self, kind: KindId, slot: SlotId, fetch_seconds: Option<f64>) {
        let Some(known) = self.kinds.get_mut(&kind) else { return };
        known.allow(slot, fetch_seconds.is_some());
        if !known.fetch.is_empty() {
            known.fetch.retain(|(on, _)| *on != slot);
        }
        known.fetch.extend(fetch_seconds.filter(|seconds| *seconds > 0.0).map(|seconds| (slot, seconds)));
    }

    /// Has to be told before a job of that kind arrives; `may`: whether one may run on a slot.
    pub fn introduce(&mut self, kind: Kind, may: impl Fn(SlotId) -> bool) {
        let run_seconds = self.runs.seconds(&kind.signature);
        let slots = (0..self.slots.len()).filter_map(|slot| u32::try_from(slot).ok()).map(SlotId);
        let known = Known { run_seconds, may: Vec::new(), fetch: Vec::new(), waiting: 0, kind };
        let known = self.kinds.entry(known.kind.id).or_insert(known);
        slots.for_each(|slot| known.allow(slot, may(slot)));
    }

    /// What jobs of these kinds load is known better now; those that wait do so as before.
    pub fn renew_kinds(&mut self, kinds: impl IntoIterator<Item = Kind>) {
        let mut regrouped = BTreeMap::new();
        for kind in kinds {
            let Some(known) = self.kinds.get_mut(&kind.id) else { continue };
            known.run_seconds = self.runs.seconds(&kind.signature);
            let (main, group) = (kind.main(), known.kind.main().map(|main| main.id));
            known.kind = kind;
            if main.map(|main| main.id) != group {
                regrouped.insert(known.kind.id, (main, known.run_seconds));
            } else if let Some(group) = self.waiting.group_mut(group) {
                group.renew_main(main, known.run_seconds);
            }
        }
        if regrouped.is_empty() {
            return;
        }
        for entry in self.waiting.of_kinds(|kind| regrouped.contains_key(&kind)) {
            let Some((main, run_seconds)) = regrouped.get(&entry.lane.kind).copied() else { continue };
            self.wait(main, entry.lane, entry.waiter, run_seconds);
        }
    }

    pub fn arrive(&mut self, arrival: Arrival, now: f64) {
        let Some(known) = self.kinds.get_mut(&arrival.kind) else { return };
        known.waiting += 1;
        let (main, run_seconds) = (known.kind.main(), known.run_seconds);
        let constant = self.policy.demand_seconds;
        let Arrival { ticket, kind, tenant, weight, again, rank, place, arrived, deadline } = arrival;
        if !again {
            known.kind.assets.iter().for_each(|asset| self.demand.ask(asset.id, now, constant));
        }
        let start = self.shares.arrive(tenant, weight, run_seconds);
        let lane = Lane { tenant, rank, kind };
        self.wait(main, lane, Waiter { ticket, place, arrived, start, deadline }, run_seconds);
    }

    fn wait(&mut self, main: Option<Asset>, lane: Lane, waiter: Waiter, run_seconds: f64) {
        self.waiting.put(main, lane, waiter);
        if let Some(group) = self.waiting.group_mut(main.map(|main| main.id)) {
            group.note_run(run_seconds);
        }
    }

    /// It waits no longer, and was not given out.
    pub fn withdraw(&mut self, ticket: Ticket) {
        if let Some((entry, run_seconds)) = self.take(ticket) {
            self.shares.withdraw(entry.lane.tenant, run_seconds);
        }
    }

    /// And what it was expected to take.
    fn take(&mut self, ticket: Ticket) -> Option<(Entry, f64)> {
        let entry = self.waiting.take(ticket)?;
        let mut run_seconds = 0.0;
        if let Some(known) = self.kinds.get_mut(&entry.lane.kind) {
            run_seconds = known.run_seconds;
            known.waiting -= 1;
            if known.waiting == 0 {
                self.kinds.remove(&entry.lane.kind);
            }
        }
        Some((entry, run_seconds))
    }

    /// Which job each backend takes now. Afterwards they count as given out.
    pub fn route(&mut self, now: f64) -> Vec<Given> {
        self.route_most(now, usize::MAX)
    }

    /// The best so many of these.
    pub fn route_most(&mut self, now: f64, most: usize) -> Vec<Given> {
        let mut round = Round::new(self, now);
        let given = std::iter::from_fn(|| round.next(self).map(|choice| self.give(choice, now)));
        given.take(most).collect()
    }

    /// What would be given out from now on, and when, were nothing to change but that jobs end as they are expected to.
    pub fn run_ahead(&self, mut now: f64, most: usize) -> Vec<(Choice, f64)> {
        let (mut ahead, mut foreseen) = (self.clone(), Vec::new());
        loop {
            let given = ahead.route_most(now, most.saturating_sub(foreseen.len()));
            foreseen.extend(given.into_iter().map(|given| (given.choice, now)));
            let ends = ahead.slots.iter().filter_map(|slot| slot.ends(now));
            let next = ends.min_by(f64::total_cmp).filter(|_| foreseen.len() < most && ahead.waiting() > 0);
            let Some(next) = next else { return foreseen };
            let ended = ahead.slots.iter_mut().filter(|slot| slot.ends(now).is_some_and(|end| end <= next));
            ended.for_each(|slot| (slot.standing, slot.is_long) = (Standing::Idle, false));
            now = next;
        }
    }

    /// The best decision of this moment, if there is one. Changes nothing.
    pub fn decide(&self, now: f64) -> Option<Choice> {
        Round::new(self, now).next(self)
    }

    fn give(&mut self, choice: Choice, now: f64) -> Given {
        let known = self.kinds.get(&choice.kind);
        let (assets, run_seconds) =
            known.map(|known| (known.kind.assets.clone(), known.run_seconds)).unwrap_or_default();
        let memory = self.slot(choice.slot).map(|slot| slot.memory.clone()).unwrap_or_default();
        let loads = assets.iter().map(|asset| (*asset, memory.tier(asset.id))).collect();
        self.shares.serve(run_seconds);
        self.mean_wait += NEWEST_WAIT * ((now - choice.arrived).max(0.0) - self.mean_wait);
        if let Some((entry, _)) = self.take(choice.ticket) {
            self.shares.leave(entry.lane.tenant);
            if let Some(left) = self.left.get_mut(&entry.lane.tenant) {
                *left = left.saturating_sub(1);
            }
        }
        self.use_models(choice.slot, &assets);
        self.occupy(&choice, now);
        Given { choice, loads }
    }

    fn occupy(&mut self, choice: &Choice, now: f64) {
        let is_long = choice.run_seconds >= self.policy.long_seconds;
        let Some(slot) = self.slots.get_mut(choice.slot.index()) else { return };
        match choice.rule.loads_main() {
            true => slot.budget = self.policy.hot_budget * choice.load_seconds,
            false => slot.budget -= choice.run_seconds,
        }
        let until = now + choice.load_seconds + choice.run_seconds;
        (slot.standing, slot.is_long) = (Standing::Busy { since: now, until }, is_long);
    }

    /// A job of that kind ran there for so long, loads not counted.
    pub fn learn_run(&mut self, slot: SlotId, kind: &Kind, seconds: f64) {
        let expected = self.runs.of_its_like(&kind.signature);
        let Some(slot) = self.slots.get_mut(slot.index()) else { return };
        self.runs.learn(&kind.signature, seconds * slot.speed);
        if let Some(expected) = expected {
            // Against what others of its like take, so that a slow backend is told from a long job.
            let surprise = libm::log(expected / (seconds.max(0.001) * slot.speed));
            slot.runs = slot.runs.saturating_add(1);
            let newest = (1.0 / (1.0 + f64::from(slot.runs))).max(NEWEST_SPEED);
            slot.speed *= libm::exp(newest * surprise.clamp(-1.0, 1.0));
        }
        self.renew_runs(kind.main().map(|main| main.id));
    }

    /// What was learned of one job holds for those that wait for the same model.
    fn renew_runs(&mut self, main: Option<AssetId>) {
        let Some(group) = self.waiting.group_mut(main) else { return };
        let kinds: Vec<KindId> = group.kinds().collect();
        for kind in kinds {
            if let Some(known) = self.kinds.get_mut(&kind) {
                known.run_seconds = self.runs.seconds(&known.kind.signature);
                group.note_run(known.run_seconds);
            }
        }
    }

    /// A job loaded `assets`, each from where it was believed to be, in so many seconds. Whether that showed that the belief
    /// was wrong.
    pub fn learn_load(&mut self, slot: SlotId, assets: &[(Asset, Tier)], seconds: f64) -> bool {
        let Some(known) = self.slots.get_mut(slot.index()) else { return false };
        let from = |tier: fn(Tier) -> Tier| {
            assets.iter().map(|(asset, from)| known.loads.seconds(*asset, tier(*from))).sum::<f64>()
        };
        let (expected, from_disk) = (from(|tier| tier), from(|_| Tier::Disk));
        if seconds > f64::midpoint(expected, from_disk).max(SURPRISE * expected + SURPRISE_SECONDS)
            && expected < from_disk
        {
            // Something was not where it was believed to be, so nothing else may be.
            let used: Vec<Asset> = assets.iter().map(|(asset, _)| *asset).collect();
            self.change_memory(slot, |memory| {
                memory.forget();
                memory.use_all(&used);
            });
            return true;
        }
        known.loads.learn(assets.iter().copied(), seconds);
        false
    }

    /// It was started anew, or told to free what it holds.
    pub fn forget_memory(&mut self, slot: SlotId) {
        self.change_memory(slot, Memory::forget);
    }

    pub(super) fn use_models(&mut self, slot: SlotId, assets: &[Asset]) {
        self.change_memory(slot, |memory| memory.use_all(assets));
    }

    fn change_memory(&mut self, id: SlotId, change: impl FnOnce(&mut Memory)) {
        let Some(slot) = self.slots.get_mut(id.index()) else { return };
        for asset in slot.memory.held() {
            if let Some(holders) = self.holders.get_mut(&asset) {
                holders.retain(|(slot, _)| *slot != id);
                if holders.is_empty() {
                    self.holders.remove(&asset);
                }
            }
        }
        change(&mut slot.memory);
        for asset in slot.memory.held() {
            let holders = self.holders.entry(asset).or_default();
            if !holders.iter().any(|(slot, _)| *slot == id) {
                holders.push((id, slot.memory.tier(asset)));
            }
        }
    }

    /// Every backend's part in why a job waits.
    pub fn explain(&self, ticket: Ticket, now: f64) -> Vec<(SlotId, Verdict)> {
        explain::explain(self, ticket, now)
    }
}

#[cfg(test)]
#[path = "router_tests.rs"]
mod tests;
