//! Learned run and load times, by model set: an exponentially weighted mean of logarithms, so that one odd run moves
//! an estimate little. What was never seen is taken from the mean over all, and before anything was seen from figures
//! of a production trace (a run of 23 s, a load of 35 s).

use std::collections::BTreeMap;

use super::Fits;
use crate::job::ModelSet;

const FIRST_RUN_SECONDS: f64 = 23.0;
const FIRST_LOAD_SECONDS: f64 = 35.0;
/// Weight of the newest observation.
const NEWEST: f64 = 0.3;
/// Model sets that are remembered; beyond it the one seen longest ago is dropped.
const REMEMBERED: usize = 4096;

/// What one attempt showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// From the start to the first step; `None` where the models were there already.
    pub load_seconds: Option<f64>,
    /// The rest, or all of it.
    pub run_seconds: f64,
}

#[derive(Clone, Debug, Default)]
pub struct Estimates {
    by_models: BTreeMap<ModelSet, Learned>,
    overall: Learned,
    observations: u64,
    /// What jobs need of a GPU's memory.
    pub fits: Fits,
}

#[derive(Clone, Copy, Debug, Default)]
struct Learned {
    run: Mean,
    load: Mean,
    seen_at: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Mean(Option<f64>);

impl Mean {
    fn learn(&mut self, seconds: f64) {
        let log = seconds.max(0.001).ln();
        self.0 = Some(self.0.map_or(log, |mean| mean + NEWEST * (log - mean)));
    }

    fn seconds(self) -> Option<f64> {
        self.0.map(f64::exp)
    }
}

impl Estimates {
    pub fn knowing(fits: Fits) -> Self {
        Self { fits, ..Self::default() }
    }

    pub fn learn(&mut self, models: &ModelSet, timing: Timing) {
        self.observations += 1;
        self.overall.learn(timing, self.observations);
        self.by_models.entry(models.clone()).or_default().learn(timing, self.observations);
        if self.by_models.len() > REMEMBERED {
            let oldest = self.by_models.iter().min_by_key(|(_, learned)| learned.seen_at);
            let oldest = oldest.map(|(models, _)| models.clone());
            oldest.and_then(|models| self.by_models.remove(&models));
        }
    }

    pub fn run_seconds(&self, models: &ModelSet) -> f64 {
        let known = self.by_models.get(models).and_then(|learned| learned.run.seconds());
        known.unwrap_or_else(|| self.typical_run_seconds())
    }

    /// Zero for a prompt that names no model.
    pub fn load_seconds(&self, models: &ModelSet) -> f64 {
        if models.0.is_empty() {
            return 0.0;
        }
        let known = self.by_models.get(models).and_then(|learned| learned.load.seconds());
        known.or(self.overall.load.seconds()).unwrap_or(FIRST_LOAD_SECONDS)
    }

    pub fn typical_run_seconds(&self) -> f64 {
        self.overall.run.seconds().unwrap_or(FIRST_RUN_SECONDS)
    }
}

impl Learned {
    fn learn(&mut self, timing: Timing, observation: u64) {
        self.seen_at = observation;
        self.run.learn(timing.run_seconds);
        if let Some(load) = timing.load_seconds {
            self.load.learn(load);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn models(name: &str) -> ModelSet {
        ModelSet([name.to_owned()].into())
    }

    #[test]
    fn an_estimate_moves_to_what_is_seen_and_one_odd_run_moves_it_little() {
        let mut estimates = Estimates::default();
        for _ in 0..20 {
            estimates.learn(&models("a"), Timing { load_seconds: Some(4.0), run_seconds: 10.0 });
        }
        assert!((estimates.run_seconds(&models("a")) - 10.0).abs() < 0.01);
        assert!((estimates.load_seconds(&models("a")) - 4.0).abs() < 0.01);
        estimates.learn(&models("a"), Timing { load_seconds: None, run_seconds: 100.0 });
        assert!(estimates.run_seconds(&models("a")) < 21.0);
    }

    #[test]
    fn an_unseen_model_is_taken_for_a_typical_one() {
        let mut estimates = Estimates::default();
        assert_eq!(estimates.run_seconds(&models("b")), FIRST_RUN_SECONDS);
        estimates.learn(&models("a"), Timing { load_seconds: Some(2.0), run_seconds: 3.0 });
        assert!((estimates.run_seconds(&models("b")) - 3.0).abs() < 1e-9);
        assert!((estimates.load_seconds(&models("b")) - 2.0).abs() < 1e-9);
        assert_eq!(estimates.load_seconds(&ModelSet::default()), 0.0);
    }
}
