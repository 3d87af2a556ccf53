//! What a decision says of a backend, in words that a person can read.

use std::fmt;

use super::explain::Verdict as Part;
use super::key::SlotId;
use super::tempo::Tempo;
use super::{Refusal, Rule};
use crate::id::BackendId;

/// What a backend says of a job that waits.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    Refused(Refusal),
    Possible {
        words: String,
        /// Until it would have ended, were it the next there.
        completion_seconds: Option<f64>,
    },
}

impl Verdict {
    pub fn completion_seconds(&self) -> Option<f64> {
        match self {
            Self::Refused(_) => None,
            Self::Possible { completion_seconds, .. } => *completion_seconds,
        }
    }

    pub fn is_refused(&self) -> bool {
        matches!(self, Self::Refused(_))
    }

    /// `name`: of the backend that something is left to.
    pub(super) fn of(part: &Part, tempo: Tempo, name: impl Fn(SlotId) -> Option<BackendId>) -> Self {
        let named = |slot| name(slot).map_or_else(|| "another".to_owned(), |id| id.to_string());
        let cost = |load: f64, run: f64| Cost(tempo.seconds(load), tempo.seconds(run));
        let possible = |words: String, completion_seconds| Self::Possible { words, completion_seconds };
        match *part {
            Part::Closed => possible("free for no job now".to_owned(), None),
            Part::Unfit => possible("free, but not for this job".to_owned(), None),
            Part::Outranked => {
                possible("free, but its client has another job that goes first".to_owned(), None)
            }
            Part::Busy { seconds, load_seconds, run_seconds } => {
                let (seconds, cost) = (tempo.seconds(seconds), cost(load_seconds, run_seconds));
                possible(format!("busy for {seconds:.1} s, then {cost}"), Some(seconds + cost.seconds()))
            }
            Part::LeavesToHot { slot, seconds, load_seconds } => {
                let (other, [seconds, load]) =
                    (named(slot), [seconds, load_seconds].map(|s| tempo.seconds(s)));
                let words = format!(
                    "free, but {other} has its models and is free in {seconds:.1} s, and here loading takes {load:.1} s"
                );
                possible(words, None)
            }
            Part::LeavesToWarm { slot, seconds, load_seconds } => {
                let (other, [seconds, load]) =
                    (named(slot), [seconds, load_seconds].map(|s| tempo.seconds(s)));
                let words = format!(
                    "free, but {other} can have its models in {seconds:.1} s, and here loading takes {load:.1} s"
                );
                possible(words, None)
            }
            Part::TakesOther { load_seconds, run_seconds, .. } => {
                let cost = cost(load_seconds, run_seconds);
                possible(format!("free, but takes another job first, then {cost}"), Some(cost.seconds()))
            }
            Part::Takes { choice } => {
                let cost = cost(choice.load_seconds, choice.run_seconds);
                possible(format!("free, {cost}"), Some(cost.seconds()))
            }
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Refused(refusal) => refusal.fmt(f),
            Self::Possible { words, .. } => f.write_str(words),
        }
    }
}

/// Why a job went where it went: one line, kept with the attempt.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Why {
    pub rule: Rule,
    /// Bringing its files counts as loading.
    pub load_seconds: f64,
    pub run_seconds: f64,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.rule, Cost(self.load_seconds, self.run_seconds))
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hot => "its models are loaded there",
            Self::Warm => "its largest model is in main memory there",
            Self::Cold => "free, and of all that waits this is worth its load most",
            Self::Overdue => "free, and nobody has the models that it has waited for too long",
        })
    }
}

/// Seconds to load, and to run.
struct Cost(f64, f64);

impl Cost {
    fn seconds(&self) -> f64 {
        self.0 + self.1
    }
}

impl fmt::Display for Cost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(load_seconds, run_seconds) = self;
        match *load_seconds > 0.0 {
            true => write!(f, "load {load_seconds:.1} s, run {run_seconds:.1} s"),
            false => write!(f, "nothing to load, run {run_seconds:.1} s"),
        }
    }
}
