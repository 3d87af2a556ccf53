//! The waiting jobs as a decision reads them: grouped by the largest model that they load, and in a group by lanes of jobs
//! that are the same to a decision but for their age. Of a lane only the first can be the best, and lanes are kept by the age of
//! their first: a decision looks at few jobs however many wait. Changed by one job at a time, never built anew.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use super::key::{AssetId, ByKey, KindId, TenantId, Ticket};
use super::memory::Asset;

/// How many times as much a job that was put to the front counts among other tenants' jobs; its own tenant's it precedes.
const FRONT_WEIGHT: f64 = 10.0;

/// A float in an order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ordered(pub f64);

impl PartialEq for Ordered {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Ordered {}

impl PartialOrd for Ordered {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Ordered {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

/// What the jobs of a lane have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Lane {
    pub tenant: TenantId,
    pub rank: Rank,
    pub kind: KindId,
}

impl std::hash::Hash for Lane {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        (self.tenant, self.kind, self.rank.priority.0.to_bits(), self.rank.front).hash(state);
    }
}

/// Which of one tenant's jobs go first, the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank {
    /// Put before what waited already.
    pub front: bool,
    priority: Ordered,
}

impl Rank {
    /// `priority` multiplies the job's weight among all tenants' jobs.
    pub fn new(front: bool, priority: f64) -> Self {
        Self { front, priority: Ordered(priority) }
    }

    pub(super) fn weight(self) -> f64 {
        self.priority.0 * if self.front { FRONT_WEIGHT } else { 1.0 }
    }
}

/// What is a job's own.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Waiter {
    pub ticket: Ticket,
    /// Its order in its lane.
    pub place: f64,
    pub arrived: f64,
    /// Its tag in the order of shares.
    pub start: f64,
    pub deadline: Option<f64>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Group {
    /// The largest model of its jobs.
    main: Option<Asset>,
    lanes: ByKey<Lane, BTreeMap<(Ordered, Ticket), Waiter>>,
    /// The lanes by the arrival of their first, and by its start tag.
    by_age: BTreeSet<(Ordered, Lane)>,
    by_start: BTreeSet<(Ordered, Lane)>,
    /// What stands first in those two: most decisions ask every group for it.
    oldest: Option<(f64, KindId)>,
    least_start: Option<f64>,
    kinds: BTreeMap<KindId, usize>,
    count: usize,
    /// Bounds over those that waited since it was last empty.
    most_weight: f64,
    least_run: Option<f64>,
    has_deadlines: bool,
}

impl Group {
    pub(super) fn main(&self) -> Option<Asset> {
        self.main
    }

    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// The first of every lane, twice: by age and by share side by side. None that comes later is both older than the one
    /// and of a lesser start tag than the other.
    pub(super) fn heads(&self) -> impl Iterator<Item = [(&Lane, &Waiter); 2]> {
        let head = |lane| Some((lane, self.head(lane)?));
        self.by_age
            .iter()
            .zip(&self.by_start)
            .filter_map(move |((_, old), (_, due))| Some([head(old)?, head(due)?]))
    }

    pub(super) fn kinds(&self) -> impl Iterator<Item = KindId> {
        self.kinds.keys().copied()
    }

    pub(super) fn oldest(&self) -> f64 {
        self.oldest.map_or(f64::INFINITY, |(arrived, _)| arrived)
    }

    pub(super) fn oldest_kind(&self) -> Option<KindId> {
        self.oldest.map(|(_, kind)| kind)
    }

    pub(super) fn least_start(&self) -> f64 {
        self.least_start.unwrap_or(f64::INFINITY)
    }

    pub(super) fn most_weight(&self) -> f64 {
        self.most_weight
    }

    /// No job of the group is expected to run for less, on a backend of speed 1.
    pub(super) fn least_run(&self) -> f64 {
        self.least_run.unwrap_or(0.0)
    }

    /// Its main model is of another size than was believed, and one of its kinds takes so long.
    pub(super) fn renew_main(&mut self, main: Option<Asset>, run_seconds: f64) {
        self.main = main;
        self.note_run(run_seconds);
    }

    pub(super) fn note_run(&mut self, seconds: f64) {
        self.least_run = Some(self.least_run.map_or(seconds, |least| least.min(seconds)));
    }

    pub(super) fn has_deadlines(&self) -> bool {
        self.has_deadlines
    }

    fn uncount(&mut self, kind: KindId) {
        if let Some(count) = self.kinds.get_mut(&kind) {
            *count -= 1;
            if *count == 0 {
                self.kinds.remove(&kind);
            }
        }
    }

    pub(super) fn head(&self, lane: &Lane) -> Option<&Waiter> {
        self.lanes.get(lane)?.first_key_value().map(|(_, waiter)| waiter)
    }

    fn change(&mut self, lane: Lane, change: impl FnOnce(&mut BTreeMap<(Ordered, Ticket), Waiter>)) {
        if let Some(head) = self.head(&lane).copied() {
            self.by_age.remove(&(Ordered(head.arrived), lane));
            self.by_start.remove(&(Ordered(head.start), lane));
        }
        change(self.lanes.entry(lane).or_default());
        match self.head(&lane).copied() {
            Some(head) => {
                self.by_age.insert((Ordered(head.arrived), lane));
                self.by_start.insert((Ordered(head.start), lane));
            }
            None => drop(self.lanes.remove(&lane)),
        }
        self.oldest = self.by_age.first().map(|(arrived, lane)| (arrived.0, lane.kind));
        self.least_start = self.by_start.first().map(|(start, _)| start.0);
    }
}

/// Lanes with their groups, and how many jobs wait in each.
type Lanes = BTreeMap<(Option<AssetId>, Lane), usize>;

#[derive(Clone, Debug, Default)]
pub(super) struct Waiting {
    jobs: ByKey<Ticket, Entry>,
    /// By the largest model; `None`: those that load none.
    groups: BTreeMap<Option<AssetId>, Group>,
    /// Of each tenant and rank, the lanes with their groups.
    ranks: ByKey<TenantId, BTreeMap<Rank, Lanes>>,
}

#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub group: Option<AssetId>,
    pub lane: Lane,
    pub waiter: Waiter,
}

impl Waiting {
    pub(super) fn len(&self) -> usize {
        self.jobs.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.jobs.is_empty()
    }

    pub(super) fn get(&self, ticket: Ticket) -> Option<&Entry> {
        self.jobs.get(&ticket)
    }

    pub(super) fn of_kinds(&self, is_of: impl Fn(KindId) -> bool) -> Vec<Entry> {
        self.jobs.values().filter(|entry| is_of(entry.lane.kind)).copied().collect()
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &Group> {
        self.groups.values()
    }

    pub(super) fn group(&self, main: Option<AssetId>) -> Option<&Group> {
        self.groups.get(&main)
    }

    pub(super) fn group_mut(&mut self, main: Option<AssetId>) -> Option<&mut Group> {
        self.groups.get_mut(&main)
    }

    /// The ranks of a tenant with jobs of more than one, and the lanes of each, the greatest rank first.
    pub(super) fn mixed_ranks(
        &self,
        tenant: TenantId,
    ) -> Option<impl Iterator<Item = (Rank, impl Iterator<Item = &(Option<AssetId>, Lane)> + Clone)>> {
        let ranks = self.ranks.get(&tenant).filter(|ranks| ranks.len() > 1)?;
        Some(ranks.iter().rev().map(|(rank, lanes)| (*rank, lanes.keys())))
    }

    pub(super) fn put(&mut self, main: Option<Asset>, lane: Lane, waiter: Waiter) {
        self.take(waiter.ticket);
        let group = main.map(|main| main.id);
        self.jobs.insert(waiter.ticket, Entry { group, lane, waiter });
        *self.lanes_of(lane).entry((group, lane)).or_default() += 1;
        let to = self.groups.entry(group).or_default();
        to.main = main;
        to.count += 1;
        *to.kinds.entry(lane.kind).or_default() += 1;
        to.most_weight = to.most_weight.max(lane.rank.weight());
        to.has_deadlines |= waiter.deadline.is_some();
        to.change(lane, |jobs| {
            jobs.insert((Ordered(waiter.place), waiter.ticket), waiter);
        });
    }

    pub(super) fn take(&mut self, ticket: Ticket) -> Option<Entry> {
        let entry = self.jobs.remove(&ticket)?;
        let Entry { group, lane, waiter } = entry;
        self.uncount(group, lane);
        let from = self.groups.get_mut(&group)?;
        from.count -= 1;
        from.uncount(lane.kind);
        from.change(lane, |jobs| {
            jobs.remove(&(Ordered(waiter.place), ticket));
        });
        if from.count == 0 {
            self.groups.remove(&group);
        }
        Some(entry)
    }

    fn lanes_of(&mut self, lane: Lane) -> &mut Lanes {
        self.ranks.entry(lane.tenant).or_default().entry(lane.rank).or_default()
    }

    fn uncount(&mut self, group: Option<AssetId>, lane: Lane) {
        let lanes = self.lanes_of(lane);
        if let Some(count) = lanes.get_mut(&(group, lane)) {
            *count -= 1;
            if *count == 0 {
                lanes.remove(&(group, lane));
            }
        }
        let is_empty = lanes.is_empty();
        if let Some(ranks) = self.ranks.get_mut(&lane.tenant).filter(|_| is_empty) {
            ranks.remove(&lane.rank);
            if ranks.is_empty() {
                self.ranks.remove(&lane.tenant);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lane(tenant: u64, priority: f64, kind: u64) -> Lane {
        Lane { tenant: TenantId(tenant), rank: Rank::new(false, priority), kind: KindId(kind) }
    }

    fn waiter(number: u32) -> Waiter {
        let at = f64::from(number);
        Waiter { ticket: Ticket(number.into()), place: at, arrived: at, start: 2.0 * at, deadline: None }
    }

    fn model(id: u64) -> Option<Asset> {
        Some(Asset { id: AssetId(id), gigabytes: 1.0 })
    }

    fn heads(waiting: &Waiting, group: u64) -> Vec<u64> {
        let group = waiting.group(Some(AssetId(group)));
        group.into_iter().flat_map(Group::heads).map(|[(_, old), _]| old.ticket.0).collect()
    }

    #[test]
    fn the_first_of_every_lane_is_seen_the_oldest_first_as_jobs_come_and_go() {
        let mut waiting = Waiting::default();
        for (number, tenant) in [(4, 1), (2, 2), (3, 1), (5, 2), (9, 1)] {
            waiting.put(model(7), lane(tenant, 1.0, 1), waiter(number));
        }
        assert_eq!((heads(&waiting, 7), waiting.len()), (vec![2, 3], 5));
        let group = waiting.group(Some(AssetId(7))).unwrap();
        assert_eq!((group.oldest(), group.least_start(), group.len()), (2.0, 4.0, 5));
        assert_eq!(waiting.take(Ticket(3)).unwrap().lane, lane(1, 1.0, 1));
        assert!(waiting.take(Ticket(3)).is_none());
        assert_eq!(heads(&waiting, 7), [2, 4]);
        waiting.take(Ticket(2));
        assert_eq!(heads(&waiting, 7), [4, 5]);
        for number in [4, 5, 9] {
            waiting.take(Ticket(number));
        }
        assert!(waiting.is_empty() && waiting.groups.is_empty() && waiting.ranks.is_empty());
    }

    #[test]
    fn a_tenants_ranks_are_told_only_where_they_differ() {
        let mut waiting = Waiting::default();
        waiting.put(None, lane(1, 1.0, 1), waiter(1));
        waiting.put(model(1), lane(1, 1.0, 2), waiter(2));
        assert!(waiting.mixed_ranks(TenantId(1)).is_none());
        waiting.put(None, lane(1, 5.0, 1), waiter(3));
        let front = Lane { rank: Rank::new(true, 0.1), ..lane(1, 1.0, 1) };
        waiting.put(None, front, waiter(4));
        let ranks: Vec<Rank> = waiting.mixed_ranks(TenantId(1)).unwrap().map(|(rank, _)| rank).collect();
        assert_eq!(ranks, [Rank::new(true, 0.1), Rank::new(false, 5.0), Rank::new(false, 1.0)]);
        waiting.take(Ticket(3));
        waiting.take(Ticket(4));
        assert!(waiting.mixed_ranks(TenantId(1)).is_none());
    }
}
