//! What is expected of the waiting jobs, were nothing to change: the router, run ahead on a copy.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::sync::Arc;

use super::Book;
use crate::clock::UnixMillis;
use crate::id::{BackendId, JobId};
use crate::job::Job;
use crate::limits;
use crate::route::key::{KindId, SlotId};
use crate::route::{Choice, Refusal, Standing};
use crate::tenant::Exhausted;

#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    pub job: JobId,
    pub outlook: Outlook,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outlook {
    Somewhere(Expected),
    /// Others of its owner's go first, which has a bound.
    Bounded(Exhausted),
    /// No backend may run it now: for what, and which ones refuse it so; the most frequent first.
    Nowhere(Vec<(String, Vec<BackendId>)>),
}

/// Where a job is expected to run, and when.
#[derive(Clone, Debug, PartialEq)]
pub struct Expected {
    pub backend: BackendId,
    pub starts_in_seconds: f64,
    pub ends_in_seconds: f64,
    /// Nothing is to be loaded there, and it names models.
    finds_models: bool,
    /// Another backend is free and could run it, and leaves it.
    beside_a_free_one: bool,
}

impl Book {
    /// Those that are expected to begin, in that order, and behind them those that no backend can run now; as many as are
    /// foreseen. `waiting`: in the order of the queue.
    pub fn forecast<'a>(
        &self,
        waiting: impl IntoIterator<Item = &'a Arc<Job>>,
        now: UnixMillis,
    ) -> Vec<Forecast> {
        let now_of_rule = self.tempo.at(now);
        let ahead = self.router.run_ahead(now_of_rule, limits::FORESEEN);
        let at_once = ahead.iter().filter(|(_, at)| *at == now_of_rule);
        let taken: BTreeSet<SlotId> = at_once.map(|(choice, _)| choice.slot).collect();
        let starts_in = |at: f64| self.tempo.seconds(at - now_of_rule);
        let begin = ahead.iter().filter_map(|(choice, at)| self.foreseen(choice, starts_in(*at), &taken));
        let mut forecasts: Vec<Forecast> = begin.collect();
        let foreseen: HashSet<JobId> = forecasts.iter().map(|forecast| forecast.job).collect();
        let first = waiting.into_iter().take(limits::FORESEEN);
        let rest = first.filter(|job| !foreseen.contains(&job.id) && self.tickets.contains_key(&job.id));
        let rest: Vec<Forecast> = rest
            .filter_map(|job| {
                let owner = job.owner.as_deref();
                let refused = || Some(Outlook::Nowhere(by_words(self.refusals(job, now)?)));
                let outlook = match self.accounts.exhausted(owner) {
                    Some(exhausted) => Outlook::Bounded(exhausted),
                    None => refused().or_else(|| self.accounts.bound(owner).map(Outlook::Bounded))?,
                };
                Some(Forecast { job: job.id, outlook })
            })
            .collect();
        forecasts.extend(rest);
        forecasts.truncate(limits::FORESEEN);
        forecasts
    }

    /// `taken`: the backends that begin a job now.
    fn foreseen(
        &self,
        choice: &Choice,
        starts_in_seconds: f64,
        taken: &BTreeSet<SlotId>,
    ) -> Option<Forecast> {
        let job = &self.waiting.get(&choice.ticket)?.job;
        let expected = Expected {
            backend: self.seats.get(choice.slot.index())?.backend.clone()?,
            starts_in_seconds,
            ends_in_seconds: starts_in_seconds + self.tempo.cost(choice).iter().sum::<f64>(),
            finds_models: choice.load_seconds == 0.0 && !job.needs.assets.is_empty(),
            beside_a_free_one: starts_in_seconds > 0.0 && self.is_left(choice.kind, taken),
        };
        Some(Forecast { job: job.id, outlook: Outlook::Somewhere(expected) })
    }

    /// Whether a backend that stays idle could begin such a job.
    fn is_left(&self, kind: KindId, taken: &BTreeSet<SlotId>) -> bool {
        let slots = (0..).map(SlotId).zip(&self.router.slots);
        let idle = slots.filter(|(id, slot)| slot.standing == Standing::Idle && !taken.contains(id));
        let known = self.router.kinds.get(&kind);
        known.is_some_and(|known| idle.map(|(id, _)| id).any(|slot| known.may_run_on(slot)))
    }
}

fn by_words(refusals: Vec<(BackendId, Refusal)>) -> Vec<(String, Vec<BackendId>)> {
    let mut by_words: BTreeMap<String, Vec<BackendId>> = BTreeMap::new();
    for (backend, refusal) in refusals {
        by_words.entry(refusal.to_string()).or_default().push(backend);
    }
    let mut refusals: Vec<_> = by_words.into_iter().collect();
    refusals.sort_by_key(|(_, backends)| std::cmp::Reverse(backends.len()));
    refusals
}

fn refused((words, backends): &(String, Vec<BackendId>)) -> String {
    match backends.as_slice() {
        [one] => format!("{one} {words}"),
        several => format!("{} backends: {words}", several.len()),
    }
}

/// Why it waits, as one sentence.
impl fmt::Display for Outlook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expected = match self {
            Self::Somewhere(expected) => expected,
            Self::Bounded(bound) => return bound.fmt(f),
            Self::Nowhere(refusals) if refusals.is_empty() => return f.write_str("there is no backend"),
            Self::Nowhere(refusals) => {
                let lines: Vec<String> = refusals.iter().map(refused).collect();
                return write!(f, "no backend can run it now: {}", lines.join("; "));
            }
        };
        let Expected { backend, starts_in_seconds, finds_models, beside_a_free_one, .. } = expected;
        match (*starts_in_seconds > 0.0, finds_models, beside_a_free_one) {
            (false, ..) => write!(f, "goes to {backend} now"),
            (true, true, true) => {
                write!(
                    f,
                    "waits for {backend}, which will have its models; loading them on a free one would take longer"
                )
            }
            (true, true, false) => write!(f, "waits for {backend}, which will have its models"),
            (true, false, _) => write!(f, "waits for {backend}, which is expected to take it"),
        }
    }
}

#[cfg(test)]
#[path = "forecast_tests.rs"]
mod tests;
