//! How often a running job speaks: the pauses between a sampler's steps, learned by model set, so that one that has fallen
//! silent is told from one that is slow. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::job::ModelSet;
use crate::limits;

/// A job is silent for so many times what a step takes at most before it is looked up.
const STEPS_OF_SILENCE: f64 = 4.0;
/// Fewer say nothing of the slowest in a hundred.
const ENOUGH: u32 = 20;
/// At so many all counts are halved, so that what was long ago counts ever less.
const MANY: u32 = 4000;
/// Buckets of pauses, each a quarter longer than the one before: from 10 ms to 17 minutes.
const BUCKETS: usize = 52;
const FIRST_SECONDS: f64 = 0.01;
const GROWTH: f64 = 1.25;

/// Pauses by length.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pauses {
    counts: BTreeMap<u8, u32>,
}

/// By model set, as the text of its names. As JSON it is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Pace {
    by_models: BTreeMap<String, Learned>,
    learned: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Learned {
    pauses: Pauses,
    /// The last one that was learned from is the highest.
    learned: u64,
}

impl Pauses {
    pub(super) fn add(&mut self, pause: Duration) {
        let bucket = (pause.as_secs_f64() / FIRST_SECONDS).max(1.0).log(GROWTH).ceil();
        *self.counts.entry((bucket as usize).min(BUCKETS - 1) as u8).or_default() += 1;
    }

    fn total(&self) -> u32 {
        self.counts.values().sum()
    }

    fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.counts {
            *self.counts.entry(*bucket).or_default() += count;
        }
        if self.total() > MANY {
            self.counts.values_mut().for_each(|count| *count /= 2);
            self.counts.retain(|_, count| *count > 0);
        }
    }

    /// The longest of all but the longest hundredth.
    fn p99_seconds(&self) -> Option<f64> {
        let total = self.total();
        let mut rest = total / 100;
        let longest = self.counts.iter().rev().find(|(_, count)| {
            let found = **count > rest;
            rest = rest.saturating_sub(**count);
            found
        });
        let (bucket, _) = longest.filter(|_| total >= ENOUGH)?;
        Some(FIRST_SECONDS * GROWTH.powi(i32::from(*bucket)))
    }
}

impl Pace {
    pub(super) fn learn(&mut self, models: &ModelSet, pauses: &Pauses) {
        if pauses.counts.is_empty() {
            return;
        }
        self.learned += 1;
        let key = models.to_string();
        if self.by_models.len() >= limits::PACES && !self.by_models.contains_key(&key) {
            let oldest =
                self.by_models.iter().min_by_key(|(_, known)| known.learned).map(|(key, _)| key.clone());
            oldest.map(|oldest| self.by_models.remove(&oldest));
        }
        let known = self.by_models.entry(key).or_default();
        known.learned = self.learned;
        known.pauses.merge(pauses);
    }

    /// How long a job of these models may be silent.
    pub(super) fn patience(&self, models: &ModelSet) -> Duration {
        let p99 = self.by_models.get(&models.to_string()).and_then(|known| known.pauses.p99_seconds());
        let learned = p99.map(|seconds| Duration::from_secs_f64(seconds * STEPS_OF_SILENCE));
        learned.map_or(limits::ANY_SILENCE, |learned| learned.max(limits::LEAST_SILENCE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(name: &str) -> ModelSet {
        ModelSet([name.to_owned()].into())
    }

    fn pauses(seconds: &[(f64, u32)]) -> Pauses {
        let mut pauses = Pauses::default();
        for (seconds, times) in seconds {
            (0..*times).for_each(|_| pauses.add(Duration::from_secs_f64(*seconds)));
        }
        pauses
    }

    #[test]
    fn a_job_is_waited_for_as_long_as_its_steps_ask_for_and_thirty_seconds_at_least() {
        for (seen, seconds) in [
            (&[][..], 60.0),
            (&[(1.0, 19)], 60.0),
            (&[(1.0, 20)], 30.0),
            (&[(0.0, 1000)], 30.0),
            (&[(20.0, 100)], 80.0),
            // One in a hundred may be slower, two may not.
            (&[(1.0, 99), (20.0, 1)], 30.0),
            (&[(1.0, 98), (20.0, 2)], 80.0),
            (&[(100_000.0, 30)], 4.0 * 876.0),
        ] {
            let mut pace = Pace::default();
            pace.learn(&models("a"), &pauses(seen));
            let patience = pace.patience(&models("a")).as_secs_f64();
            assert!(patience >= seconds * 0.999 && patience <= seconds * GROWTH, "{seen:?}: {patience}");
            assert_eq!(pace.patience(&models("b")), limits::ANY_SILENCE);
        }
    }

    #[test]
    fn what_was_long_ago_counts_ever_less() {
        let mut pace = Pace::default();
        pace.learn(&models("a"), &pauses(&[(50.0, 1000)]));
        for _ in 0..20 {
            pace.learn(&models("a"), &pauses(&[(0.5, 2000)]));
        }
        assert_eq!(pace.patience(&models("a")), limits::LEAST_SILENCE);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_survives_a_restart() {
        let mut pace = Pace::default();
        for at in 0..=limits::PACES {
            pace.learn(&models(&at.to_string()), &pauses(&[(20.0, 30)]));
        }
        assert_eq!(pace.by_models.len(), limits::PACES);
        assert_eq!(pace.patience(&models("0")), limits::ANY_SILENCE);
        assert!(pace.patience(&models("1")) > limits::ANY_SILENCE);
        let kept: Pace = serde_json::from_str(&serde_json::to_string(&pace).unwrap()).unwrap();
        assert_eq!(kept, pace);
    }
}
