//! Learned run times: the mean of logarithms, which one odd run moves little, kept under keys from the exact to the coarse. A
//! job that was never seen is taken for what is known of its models, by its amount of work where that is known; and before
//! anything was seen, for the mean run of a production trace.

use std::cmp::Reverse;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::key::{ByKey, KindId};
use crate::limits;

const FIRST_SECONDS: f64 = 23.0;
/// Weight of the newest observation, once there are many.
const NEWEST: f64 = 0.1;

/// What a job's run time is predicted by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// Models, sampler, size, steps and batch.
    pub exact: KindId,
    /// The models alone, and the largest of them.
    pub models: KindId,
    pub main: KindId,
    /// Pixels, frames, steps and batch multiplied, where they are known, in thousands.
    pub work: Option<u64>,
}

/// Under what is known of a run: the same models in seconds, and in seconds for each unit of work.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
enum Known {
    Overall,
    Seconds(KindId),
    SecondsAWork(KindId),
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Mean {
    log: f64,
    seen: u32,
    seen_at: u64,
}

/// As JSON the latest of it is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(from = "Vec<(Known, Mean)>", into = "Vec<(Known, Mean)>")]
pub(super) struct Runs {
    means: ByKey<Known, Mean>,
    observations: u64,
}

impl From<Vec<(Known, Mean)>> for Runs {
    fn from(means: Vec<(Known, Mean)>) -> Self {
        let observations = means.iter().map(|(_, mean)| mean.seen_at).max().unwrap_or(0);
        Self { means: means.into_iter().collect(), observations }
    }
}

impl From<Runs> for Vec<(Known, Mean)> {
    fn from(runs: Runs) -> Self {
        let mut means: Self = runs.means.into_iter().collect();
        means.sort_by_key(|(known, mean)| (*known != Known::Overall, Reverse(mean.seen_at), *known));
        means.truncate(limits::RUN_ESTIMATES_KEPT);
        means
    }
}

impl Runs {
    pub(super) fn learn(&mut self, signature: &Signature, seconds: f64) {
        self.observations += 1;
        let log = libm::log(seconds.max(0.001));
        self.observe(Known::Overall, log);
        for key in [signature.exact, signature.models, signature.main] {
            self.observe(Known::Seconds(key), log);
        }
        if let Some(work) = signature.work {
            for key in [signature.models, signature.main] {
                self.observe(Known::SecondsAWork(key), log - log_of(work));
            }
        }
        if self.means.len() > limits::RUN_ESTIMATES {
            self.forget_half();
        }
    }

    pub(super) fn seconds(&self, signature: &Signature) -> f64 {
        self.of_its_like(signature).unwrap_or_else(|| self.typical_seconds())
    }

    /// `None`: no job with its largest model was seen yet.
    pub(super) fn of_its_like(&self, signature: &Signature) -> Option<f64> {
        let by_work = |key| Some(self.log(Known::SecondsAWork(key))? + log_of(signature.work?));
        let log = (self.log(Known::Seconds(signature.exact)))
            .or_else(|| by_work(signature.models))
            .or_else(|| by_work(signature.main))
            .or_else(|| self.log(Known::Seconds(signature.models)))
            .or_else(|| self.log(Known::Seconds(signature.main)));
        log.map(libm::exp)
    }

    pub(super) fn typical_seconds(&self) -> f64 {
        self.log(Known::Overall).map_or(FIRST_SECONDS, libm::exp)
    }

    fn log(&self, known: Known) -> Option<f64> {
        self.means.get(&known).map(|mean| mean.log)
    }

    fn observe(&mut self, known: Known, log: f64) {
        let seen_at = self.observations;
        let mean = self.means.entry(known).or_insert(Mean { log, seen: 0, seen_at });
        mean.seen = mean.seen.saturating_add(1);
        mean.seen_at = seen_at;
        mean.log += (1.0 / f64::from(mean.seen)).max(NEWEST) * (log - mean.log);
    }

    fn forget_half(&mut self) {
        let mut seen: Vec<u64> = self.means.values().map(|mean| mean.seen_at).collect();
        let middle = seen.len() / 2;
        let (_, median, _) = seen.select_nth_unstable(middle);
        let median = *median;
        self.means.retain(|known, mean| mean.seen_at > median || *known == Known::Overall);
    }
}

fn log_of(work: u64) -> f64 {
    libm::log(work.max(1) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(exact: u64, models: u64, main: u64, work: Option<u64>) -> Signature {
        Signature { exact: KindId(exact), models: KindId(models), main: KindId(main), work }
    }

    fn close(seconds: f64, wanted: f64) -> bool {
        (seconds - wanted).abs() < 0.01 * wanted
    }

    #[test]
    fn a_job_is_taken_for_the_nearest_that_was_seen() {
        let mut runs = Runs::default();
        assert_eq!(runs.seconds(&signature(1, 1, 1, None)), FIRST_SECONDS);
        for _ in 0..5 {
            runs.learn(&signature(10, 11, 12, Some(100)), 10.0);
            runs.learn(&signature(20, 21, 22, None), 40.0);
        }
        for (asked, wanted) in [
            (signature(10, 11, 12, Some(100)), 10.0),
            (signature(99, 11, 12, Some(200)), 20.0),
            (signature(99, 98, 12, Some(50)), 5.0),
            (signature(99, 11, 12, None), 10.0),
            (signature(99, 98, 22, Some(7)), 40.0),
            (signature(99, 98, 97, Some(7)), 20.0),
        ] {
            assert!(close(runs.seconds(&asked), wanted), "{asked:?}: {}", runs.seconds(&asked));
        }
    }

    #[test]
    fn an_estimate_moves_to_what_is_seen_and_one_odd_run_moves_it_little() {
        let (mut runs, job) = (Runs::default(), signature(1, 2, 3, None));
        (0..50).for_each(|_| runs.learn(&job, 10.0));
        runs.learn(&job, 1000.0);
        assert!(runs.seconds(&job) < 16.0);
        (0..50).for_each(|_| runs.learn(&job, 30.0));
        assert!(close(runs.seconds(&job), 30.0));
    }

    #[test]
    fn the_latest_of_what_is_known_survives_a_restart() {
        let mut runs = Runs::default();
        let last = limits::RUN_ESTIMATES_KEPT as u64;
        (0..=last).for_each(|key| runs.learn(&signature(3 * key, 3 * key + 1, 3 * key + 2, None), 5.0));
        let kept: Runs = serde_json::from_str(&serde_json::to_string(&runs).unwrap()).unwrap();
        assert_eq!((kept.means.len(), kept.observations), (limits::RUN_ESTIMATES_KEPT, last + 1));
        assert!(close(kept.typical_seconds(), 5.0) && kept.log(Known::Seconds(KindId(3 * last))).is_some());
        assert_eq!(kept.log(Known::Seconds(KindId(0))), None);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_latest_stays() {
        let mut runs = Runs::default();
        let last = 2 * limits::RUN_ESTIMATES as u64;
        (0..=last).for_each(|key| runs.learn(&signature(3 * key, 3 * key + 1, 3 * key + 2, None), 5.0));
        runs.learn(&signature(3 * last, 3 * last + 1, 3 * last + 2, None), 80.0);
        assert!(runs.means.len() <= limits::RUN_ESTIMATES);
        assert!(runs.seconds(&signature(3 * last, 0, 1, None)) > 10.0);
    }
}
