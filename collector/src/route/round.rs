//! One round of decisions: every backend that can take a job says which it would take, and the best of them is given out
//! first. What a backend would take stands in `desk`.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::desk;
use super::key::{KindId, SlotId, Ticket};
use super::router::Router;
use super::waiting::Ordered;

/// By what part of the rule a job was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Rule {
    /// Its largest model is in VRAM.
    Hot,
    /// It is in RAM: no job that waits needs no load here, or those have had their time.
    Warm,
    /// No job that waits needs no load here.
    Cold,
    /// No backend has it in VRAM, and the oldest job has waited too long.
    Overdue,
}

impl Rule {
    pub(super) fn loads_main(self) -> bool {
        self != Self::Hot
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    pub slot: SlotId,
    pub ticket: Ticket,
    pub kind: KindId,
    pub rule: Rule,
    pub arrived: f64,
    pub load_seconds: f64,
    pub run_seconds: f64,
    pub(super) score: f64,
}

impl Choice {
    /// Hot ones before those that load, then the better, then the older.
    fn order(&self) -> impl Ord + use<> {
        let age = (Reverse(Ordered(self.arrived)), Reverse(self.ticket));
        (self.rule == Rule::Hot, Ordered(self.score), age, Reverse(self.slot))
    }

    pub(super) fn beats(&self, other: Option<&Self>) -> bool {
        other.is_none_or(|other| self.order() > other.order())
    }
}

/// What is the same for all backends in one round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context {
    pub now: f64,
    /// A job that waits longer is overdue.
    pub overdue_seconds: f64,
    /// In which a job's weight doubles, but for the square.
    pub ageing_seconds: f64,
    pub ageing_square: f64,
    pub open_slots: f64,
    /// No backend more may take a long job while others wait.
    pub long_is_full: bool,
}

impl Context {
    pub(super) fn of(router: &Router, now: f64) -> Self {
        let policy = &router.policy;
        let open = router.slots.iter().filter(|slot| slot.is_open()).count() as f64;
        Self {
            now,
            overdue_seconds: policy.overdue_seconds.max(policy.overdue_waits * router.mean_wait),
            ageing_seconds: policy.ageing_seconds.max(router.mean_wait),
            ageing_square: policy.ageing_square,
            open_slots: open.max(1.0),
            long_is_full: Self::long_is_full(router, open),
        }
    }

    fn long_is_full(router: &Router, open: f64) -> bool {
        let long = router.slots.iter().filter(|slot| slot.is_long).count() as f64;
        long >= ((1.0 - router.policy.short_share) * open).floor().max(1.0)
    }
}

/// The decisions of one moment, the best first. Each is made again once an earlier one has changed what it looked at.
pub(super) struct Round {
    context: Context,
    found: BinaryHeap<Found>,
    /// Those for which there was nothing.
    idle: Vec<SlotId>,
    version: u32,
    idle_since: u32,
}

struct Found {
    choice: Choice,
    version: u32,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Found {}

impl PartialOrd for Found {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Found {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.choice.order().cmp(&other.choice.order())
    }
}

impl Round {
    pub(super) fn new(router: &Router, now: f64) -> Self {
        let context = Context::of(router, now);
        let mut round =
            Self { context, found: BinaryHeap::new(), idle: Vec::new(), version: 0, idle_since: 0 };
        if !router.waiting.is_empty() {
            let slots = (0..).map(SlotId).zip(&router.slots);
            let open = slots.filter(|(_, slot)| slot.is_idle());
            open.for_each(|(slot, _)| round.look(router, slot));
        }
        round
    }

    /// The best decision; the caller carries it out before it asks for another.
    pub(super) fn next(&mut self, router: &Router) -> Option<Choice> {
        // The decision before this one may have given out the last long job that may be.
        self.context.long_is_full = Context::long_is_full(router, self.context.open_slots);
        loop {
            let Some(best) = self.found.pop() else {
                if self.idle_since == self.version || router.waiting.is_empty() {
                    return None;
                }
                self.idle_since = self.version;
                std::mem::take(&mut self.idle).into_iter().for_each(|slot| self.look(router, slot));
                continue;
            };
            if best.version == self.version {
                self.version += 1;
                return Some(best.choice);
            }
            self.look(router, best.choice.slot);
        }
    }

    fn look(&mut self, router: &Router, slot: SlotId) {
        match desk::choose(router, &self.context, slot) {
            Some(choice) => self.found.push(Found { choice, version: self.version }),
            None => self.idle.push(slot),
        }
    }
}
