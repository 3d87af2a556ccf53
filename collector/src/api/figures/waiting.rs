//! Why jobs wait, for a figure of all of them: what keeps each from the backend that is nearest to running it. What a person
//! is told of one job is `route`'s to say. Pure.

use std::collections::BTreeMap;

use crate::clock::UnixMillis;
use crate::dispatch::View;
use crate::limits;
use crate::queue::Ledger;
use crate::route::{Candidate, suits};

/// The nearest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Reason {
    /// One is free: it takes another job first, or leaves this one to another backend.
    Turn,
    Busy,
    Resting,
    Connecting,
    Draining,
    Down,
    Nowhere,
    /// Whatever backends there are.
    Owner,
    NotJudged,
}

impl Reason {
    pub(super) const ALL: [Self; 9] = [
        Self::Turn,
        Self::Busy,
        Self::Resting,
        Self::Connecting,
        Self::Draining,
        Self::Down,
        Self::Nowhere,
        Self::Owner,
        Self::NotJudged,
    ];

    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Busy => "busy",
            Self::Resting => "resting",
            Self::Connecting => "connecting",
            Self::Draining => "draining",
            Self::Down => "down",
            Self::Nowhere => "nowhere",
            Self::Owner => "owner",
            Self::NotJudged => "not_judged",
        }
    }

    fn of(candidate: &Candidate, now: UnixMillis) -> Self {
        let backend = &candidate.backend;
        if backend.draining_since.is_some() {
            Self::Draining
        } else if !backend.health.is_up() {
            Self::Down
        } else if !backend.takes_jobs() {
            Self::Connecting
        } else if candidate.rests(now).is_some() {
            Self::Resting
        } else if candidate.residual_seconds.is_some() || candidate.foreign > 0 {
            Self::Busy
        } else {
            Self::Turn
        }
    }
}

/// How many jobs wait for each reason.
pub(super) fn reasons(ledger: &Ledger, view: &View, now: UnixMillis) -> BTreeMap<Reason, usize> {
    let mut nearest: Vec<(Reason, &Candidate)> =
        view.candidates.iter().map(|candidate| (Reason::of(candidate, now), candidate)).collect();
    nearest.sort_by_key(|(reason, _)| *reason);
    let mut reasons: BTreeMap<Reason, usize> = Reason::ALL.into_iter().map(|reason| (reason, 0)).collect();
    for job in ledger.waiting().take(limits::WAITING_JUDGED) {
        let is_spent = job.owner.as_ref().is_some_and(|owner| view.spent.contains(owner));
        let suited = || nearest.iter().find(|(_, candidate)| suits(&candidate.backend, job));
        let reason =
            if is_spent { Reason::Owner } else { suited().map_or(Reason::Nowhere, |(reason, _)| *reason) };
        *reasons.entry(reason).or_default() += 1;
    }
    let far_behind = ledger.waiting_len().saturating_sub(limits::WAITING_JUDGED);
    reasons.insert(Reason::NotJudged, far_behind);
    reasons
}

#[cfg(test)]
#[path = "waiting_tests.rs"]
mod tests;
