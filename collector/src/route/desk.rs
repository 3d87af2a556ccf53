//! The rule: which waiting job one backend takes. Pure; the README beside this file says why each part is there.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

use super::elsewhere::{self, Better, Elsewhere};
use super::key::{AssetId, ByKey, SlotId, TenantId};
use super::memory::{Asset, Tier};
use super::round::{Choice, Context, Rule};
use super::router::{Known, Router};
use super::slot::Slot;
use super::waiting::{Group, Lane, Ordered, Rank, Waiter};
use super::weigh;

/// Below this a run time says nothing about worth.
const LEAST_SECONDS: f64 = 0.1;

pub(super) fn choose(router: &Router, context: &Context, id: SlotId) -> Option<Choice> {
    let desk = Desk::new(router, context, id).filter(|desk| desk.slot.is_idle())?;
    if context.long_is_full {
        // A backend that would idle takes a long job all the same.
        let short = Desk { long_too: false, ..desk.clone() };
        return short.choose().or_else(|| desk.choose());
    }
    desk.choose()
}

/// One backend while it chooses.
#[derive(Clone)]
pub(super) struct Desk<'a> {
    router: &'a Router,
    context: &'a Context,
    id: SlotId,
    pub slot: &'a Slot,
    long_too: bool,
    /// Of tenants with jobs of several ranks: the greatest with a job that could run here now.
    floors: ByKey<TenantId, Option<Rank>>,
}

/// A lane's first job, as this backend sees it.
pub(super) struct Head<'a> {
    lane: &'a Lane,
    waiter: &'a Waiter,
    pub known: &'a Known,
    weight: f64,
    pub load_seconds: f64,
    pub run_seconds: f64,
}

/// A group that may have the best job, and a score that none of its jobs exceeds here.
#[derive(Clone, Copy)]
struct Chance<'a> {
    group: &'a Group,
    tier: Tier,
    bound: f64,
}

impl Chance<'_> {
    /// Of two with the same bound the one whose model has the lower number, so that the order is always the same.
    fn order(&self) -> impl Ord + use<> {
        (Ordered(self.bound), Reverse(self.group.main().map(|main| main.id)))
    }
}

impl PartialEq for Chance<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Chance<'_> {}

impl PartialOrd for Chance<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Chance<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order().cmp(&other.order())
    }
}

impl<'a> Desk<'a> {
    pub(super) fn new(router: &'a Router, context: &'a Context, id: SlotId) -> Option<Self> {
        let slot = router.slots.get(id.index())?;
        Some(Self { router, context, id, slot, long_too: true, floors: ByKey::default() })
    }

    fn choose(mut self) -> Option<Choice> {
        // Looked up by what is held here: most decisions need to see few of the other groups.
        let (router, memory) = (self.router, &self.slot.memory);
        let hot = memory.in_vram().map(Some).chain([None]).filter_map(|main| router.waiting.group(main));
        let hot = self.best(hot, Self::hot);
        let is_spent = self.slot.budget <= 0.0;
        if hot.is_some() && !is_spent {
            return hot;
        }
        let overdue: Vec<&Group> = router.waiting.groups().filter(|group| self.is_overdue(group)).collect();
        if let Some(overdue) = self.best(overdue.into_iter(), Self::load_anyway) {
            return Some(Choice { rule: Rule::Overdue, ..overdue });
        }
        let Some(hot) = hot else { return self.best(router.waiting.groups(), Self::load) };
        let warm = memory.in_ram().filter_map(|main| router.waiting.group(Some(main)));
        let warm = self.best(warm, Self::load).filter(|warm| warm.score > hot.score);
        Some(warm.unwrap_or(hot))
    }

    /// The best that `judge` finds, looking first where most can be.
    fn best(
        &mut self,
        groups: impl Iterator<Item = &'a Group>,
        judge: fn(&mut Self, Chance<'a>) -> Option<Choice>,
    ) -> Option<Choice> {
        let mut chances: BinaryHeap<Chance<'a>> = groups.map(|group| self.chance(group)).collect();
        let mut best: Option<Choice> = None;
        while let Some(chance) = chances.pop() {
            if best.as_ref().is_some_and(|best| chance.bound < best.score) {
                break;
            }
            if let Some(choice) = judge(self, chance).filter(|choice| choice.beats(best.as_ref())) {
                best = Some(choice);
            }
        }
        best
    }

    fn chance(&self, group: &'a Group) -> Chance<'a> {
        let tier = self.tier(group);
        let seconds = |tier| group.main().map_or(0.0, |main| self.slot.loads.seconds(main, tier));
        let saved = (seconds(Tier::Disk) - seconds(tier)).max(0.0);
        let least = (group.least_run() / self.slot.speed).max(LEAST_SECONDS);
        let weight = weigh::most(self.router, self.context, group, group.oldest(), group.least_start());
        let bound = self.score(group, tier, saved).of(weight, seconds(tier), least);
        Chance { group, tier, bound }
    }

    /// Too old to wait for anything, and no backend has it in VRAM.
    fn is_overdue(&self, group: &Group) -> bool {
        let is_old = self.context.now - group.oldest() > self.context.overdue_seconds;
        let is_hot = |main: Asset| {
            self.oldest_of(group).is_some_and(|known| elsewhere::is_hot(self.router, self.id, known, main.id))
        };
        is_old && self.tier(group) != Tier::Vram && group.main().is_some_and(|main| !is_hot(main))
    }

    /// The kind of the oldest job of a group, which speaks for all of them.
    fn oldest_of(&self, group: &Group) -> Option<&'a Known> {
        self.router.kinds.get(&group.oldest_kind()?)
    }

    pub(super) fn tier(&self, group: &Group) -> Tier {
        group.main().map_or(Tier::Vram, |main| self.slot.memory.tier(main.id))
    }

    fn hot(&mut self, chance: Chance<'a>) -> Option<Choice> {
        let score = self.score(chance.group, Tier::Vram, self.saved_seconds(chance.group, 0.0));
        let head = self.best_head(chance.group, 0.0)?;
        Some(head.choice(self.id, Rule::Hot, score.of(head.weight, head.load_seconds, head.run_seconds)))
    }

    fn load(&mut self, chance: Chance<'a>) -> Option<Choice> {
        let is_left = chance.tier == Tier::Vram || self.better(chance.group).is_some();
        if is_left { None } else { self.load_anyway(chance) }
    }

    fn load_anyway(&mut self, Chance { group, tier, .. }: Chance<'a>) -> Option<Choice> {
        let main_seconds = self.slot.loads.seconds(group.main()?, tier);
        let head = self.best_head(group, main_seconds)?;
        let evicts = elsewhere::eviction_seconds(self.router, self.context, self.id, head.known);
        let score = self.score(group, tier, self.saved_seconds(group, main_seconds));
        let rule = if tier == Tier::Ram { Rule::Warm } else { Rule::Cold };
        let score = score.of(head.weight, head.load_seconds + evicts, head.run_seconds);
        Some(head.choice(self.id, rule, score))
    }

    /// Who is better left a group whose model this backend would have to load.
    pub(super) fn better(&self, group: &Group) -> Option<Better> {
        let main = group.main()?;
        let here = self.slot.loads.seconds(main, self.slot.memory.tier(main.id));
        let known = self.oldest_of(group)?;
        let elsewhere = Elsewhere::of(self.router, self.context, self.id, known, main, here);
        elsewhere.better(self.router, self.context, group, here, known.run_seconds / self.slot.speed)
    }

    fn score(&self, group: &Group, tier: Tier, saved_seconds: f64) -> Score {
        let policy = &self.router.policy;
        let worth = policy.advantage * saved_seconds;
        match tier {
            Tier::Vram => Score { worth, load_weight: 1.0, batch: 1.0 },
            Tier::Ram | Tier::Disk => {
                let batch = (group.len() as f64).min(policy.batch_most);
                Score { worth, load_weight: policy.load_weight, batch }
            }
        }
    }

    /// How much longer loading the largest model would take on any other backend.
    fn saved_seconds(&self, group: &Group, main_seconds: f64) -> f64 {
        let cheapest = |(main, known)| elsewhere::cheapest(self.router, self.id, self.slot, known, main);
        group
            .main()
            .zip(self.oldest_of(group))
            .map(cheapest)
            .map_or(0.0, |elsewhere| (elsewhere - main_seconds).max(0.0))
    }

    /// The job of the group that is to run first here, by its weight for the time that it takes beyond loading the largest
    /// model: of two alike the one whose LoRA is here too.
    pub(super) fn best_head(&mut self, group: &'a Group, main_seconds: f64) -> Option<Head<'a>> {
        let least = (group.least_run() / self.slot.speed).max(LEAST_SECONDS);
        let mut best: Option<(f64, Head<'a>)> = None;
        for heads in group.heads() {
            let [(oldest, _), (due, _)] = heads;
            for (lane, waiter) in heads.into_iter().take(if oldest == due { 1 } else { 2 }) {
                let Some(head) = self.head(lane, waiter) else { continue };
                let beyond = (head.load_seconds - main_seconds).max(0.0);
                let value = head.weight / (head.run_seconds + beyond);
                if best.as_ref().is_none_or(|(other, _)| value > *other) {
                    best = Some((value, head));
                }
            }
            let [(_, oldest), (_, due)] = heads;
            let bound = weigh::most(self.router, self.context, group, oldest.arrived, due.start) / least;
            if best.as_ref().is_some_and(|(value, _)| bound <= *value) {
                break;
            }
        }
        best.map(|(_, head)| head)
    }

    /// `None`: it may not run here now.
    pub(super) fn head(&mut self, lane: &'a Lane, waiter: &'a Waiter) -> Option<Head<'a>> {
        let head = self.unranked(lane, waiter)?;
        (self.floor(lane.tenant).is_none_or(|floor| lane.rank >= floor)).then_some(head)
    }

    /// Whatever else its tenant has; `None`: it may not run here now.
    pub(super) fn unranked(&self, lane: &'a Lane, waiter: &'a Waiter) -> Option<Head<'a>> {
        let known = self.router.kinds.get(&lane.kind).filter(|known| known.may_run_on(self.id))?;
        if !self.router.may_begin(lane.tenant) {
            return None;
        }
        let run_seconds = (known.run_seconds / self.slot.speed).max(LEAST_SECONDS);
        let is_long = run_seconds >= self.router.policy.long_seconds;
        if is_long && !self.long_too {
            return None;
        }
        let load = |asset| self.slot.loads.seconds(asset, self.slot.memory.tier(asset.id));
        let fetch_seconds = known.fetch_seconds(self.id);
        let load_seconds = known.kind.assets.iter().fold(fetch_seconds, |sum, asset| sum + load(*asset));
        let weight = weigh::weight(self.router, self.context, lane, waiter, load_seconds + run_seconds);
        Some(Head { lane, waiter, known, weight, load_seconds, run_seconds })
    }

    /// A tenant's job of a lesser rank than this does not run here, as one of a greater could.
    fn floor(&mut self, tenant: TenantId) -> Option<Rank> {
        let ranks = self.router.waiting.mixed_ranks(tenant)?;
        if let Some(floor) = self.floors.get(&tenant) {
            return *floor;
        }
        let mut ranks = ranks.filter(|(_, lanes)| lanes.clone().any(|lane| self.could_run(lane)));
        let floor = ranks.next().map(|(rank, _)| rank);
        self.floors.insert(tenant, floor);
        floor
    }

    fn could_run(&self, (main, lane): &(Option<AssetId>, Lane)) -> bool {
        let Some(group) = self.router.waiting.group(*main) else { return false };
        let head = group.head(lane).and_then(|waiter| self.unranked(lane, waiter));
        head.is_some() && (self.tier(group) == Tier::Vram || self.better(group).is_none())
    }
}

impl Head<'_> {
    fn choice(&self, slot: SlotId, rule: Rule, score: f64) -> Choice {
        Choice {
            slot,
            ticket: self.waiter.ticket,
            kind: self.lane.kind,
            rule,
            arrived: self.waiter.arrived,
            load_seconds: self.load_seconds,
            run_seconds: self.run_seconds,
            score,
        }
    }
}

/// Weight for the time that it takes, of the job and those of its group that need the load no more; more of it where
/// another backend would have to load what this one need not.
struct Score {
    worth: f64,
    load_weight: f64,
    batch: f64,
}

impl Score {
    fn of(&self, weight: f64, load_seconds: f64, run_seconds: f64) -> f64 {
        let time = self.load_weight * load_seconds + self.batch * run_seconds;
        self.batch * weight * (1.0 + self.worth / run_seconds) / time
    }
}
