//! Owners with a bound: what of theirs may not begin is kept from the router, so that it weighs nothing and ages nothing while it
//! waits for its own owner's jobs to end.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use super::Book;
use super::kind::rank_of;
use crate::clock::UnixMillis;
use crate::job::{Job, Place};
use crate::limits;
use crate::route::Rank;
use crate::route::key::Ticket;

/// In the owner's own order, the first first.
type Turn = (Reverse<Rank>, Place, Ticket);

/// The waiting jobs of one owner.
#[derive(Clone, Debug, Default)]
pub(super) struct Turns {
    shown: BTreeSet<Turn>,
    kept: BTreeSet<Turn>,
}

impl Turns {
    fn is_empty(&self) -> bool {
        self.shown.is_empty() && self.kept.is_empty()
    }

    /// What the router is to be shown no longer, and what from now on, for so many of them to be there.
    fn settle(&mut self, most: usize) -> (Vec<Ticket>, Vec<Ticket>) {
        let (mut hidden, mut shown) = (Vec::new(), Vec::new());
        loop {
            if self.shown.len() < most {
                let Some(first) = self.kept.pop_first() else { break };
                shown.push(first.2);
                self.shown.insert(first);
            } else if self.shown.len() > most || self.is_passed() {
                let Some(last) = self.shown.pop_last() else { break };
                hidden.push(last.2);
                self.kept.insert(last);
            } else {
                break;
            }
        }
        (hidden, shown)
    }

    /// One that is kept goes before one that is shown.
    fn is_passed(&self) -> bool {
        self.shown.last().zip(self.kept.first()).is_some_and(|(last, first)| last > first)
    }
}

fn turn(ticket: Ticket, job: &Job) -> Turn {
    (Reverse(rank_of(job)), job.place, ticket)
}

impl Book {
    /// It waits for its owner's turn, if that has a bound.
    pub(super) fn keep_back(&mut self, ticket: Ticket, job: &Job) -> bool {
        let Some(owner) = job.owner.as_ref().filter(|owner| self.accounts.are_bounded(owner)) else {
            return false;
        };
        self.turns.entry(owner.clone()).or_default().kept.insert(turn(ticket, job));
        true
    }

    pub(super) fn leave_turns(&mut self, ticket: Ticket, job: &Job) {
        let Some(turns) = job.owner.as_ref().and_then(|owner| self.turns.get_mut(owner)) else { return };
        let turn = turn(ticket, job);
        turns.shown.remove(&turn);
        turns.kept.remove(&turn);
    }

    /// Of every owner with a bound the router is shown as many as there are, if one may begin, and none otherwise.
    pub(super) fn take_turns(&mut self, now: UnixMillis) {
        self.turns.retain(|_, turns| !turns.is_empty());
        let owners: Vec<String> = self.turns.keys().cloned().collect();
        for owner in owners {
            let most =
                if self.accounts.exhausted(Some(&owner)).is_none() { limits::SHOWN_OF_AN_OWNER } else { 0 };
            let Some(turns) = self.turns.get_mut(&owner) else { continue };
            let (hidden, shown) = turns.settle(most);
            hidden.into_iter().for_each(|ticket| self.router.withdraw(ticket));
            for ticket in shown {
                if let Some(job) = self.waiting.get(&ticket).map(|waits| waits.job.clone()) {
                    self.show_now(ticket, &job, now);
                }
            }
        }
    }

    /// The bounds are other ones: those of owners that had none are kept back, those of owners that have none any more shown.
    pub(super) fn bound_anew(&mut self, now: UnixMillis) {
        for turns in std::mem::take(&mut self.turns).into_values() {
            let kept = turns.kept.into_iter().map(|turn| turn.2);
            for ticket in kept {
                if let Some(job) = self.waiting.get(&ticket).map(|waits| waits.job.clone()) {
                    self.show_now(ticket, &job, now);
                }
            }
        }
        for (ticket, waits) in &self.waiting {
            let Some(owner) = waits.job.owner.as_ref().filter(|owner| self.accounts.are_bounded(owner))
            else {
                continue;
            };
            self.turns.entry(owner.clone()).or_default().shown.insert(turn(*ticket, &waits.job));
        }
    }
}

#[cfg(test)]
#[path = "turns_tests.rs"]
mod tests;
