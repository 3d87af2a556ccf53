//! How often a model is asked for, lately: what keeping it in memory is worth.

use super::key::{AssetId, ByKey};
use crate::limits;

#[derive(Clone, Debug, Default)]
pub(super) struct Demand {
    asked: ByKey<AssetId, Fading>,
    since: Option<f64>,
}

/// A count that fades: what came a time constant ago weighs a third.
#[derive(Clone, Copy, Debug)]
struct Fading {
    count: f64,
    at: f64,
}

impl Fading {
    fn at(self, now: f64, constant: f64) -> f64 {
        self.count * libm::exp((self.at - now).min(0.0) / constant)
    }
}

impl Demand {
    pub(super) fn ask(&mut self, asset: AssetId, now: f64, constant: f64) {
        self.since.get_or_insert(now);
        let fading = self.asked.entry(asset).or_insert(Fading { count: 0.0, at: now });
        *fading = Fading { count: fading.at(now, constant) + 1.0, at: now };
        if self.asked.len() > limits::MODELS_IN_DEMAND {
            self.forget_half(now, constant);
        }
    }

    /// Uses a second.
    pub(super) fn rate(&self, asset: AssetId, now: f64, constant: f64) -> f64 {
        let Some(fading) = self.asked.get(&asset) else { return 0.0 };
        // Soon after the start there was no time to see more.
        const AT_LEAST_SECONDS: f64 = 60.0;
        let seen = self.since.map_or(0.0, |since| now - since).max(AT_LEAST_SECONDS);
        fading.at(now, constant) / constant.min(seen)
    }

    fn forget_half(&mut self, now: f64, constant: f64) {
        let mut counts: Vec<f64> = self.asked.values().map(|fading| fading.at(now, constant)).collect();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable_by(middle, f64::total_cmp);
        let median = *median;
        self.asked.retain(|_, fading| fading.at(now, constant) > median);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_what_was_seen_lately_and_fades() {
        let mut demand = Demand::default();
        for second in 0..10_000 {
            demand.ask(AssetId(1), f64::from(second), 900.0);
        }
        assert!((demand.rate(AssetId(1), 10_000.0, 900.0) - 1.0).abs() < 0.01);
        assert!(demand.rate(AssetId(1), 12_000.0, 900.0) < 0.2);
        assert_eq!(demand.rate(AssetId(2), 10_000.0, 900.0), 0.0);
    }

    #[test]
    fn the_models_that_are_remembered_are_bounded() {
        let mut demand = Demand::default();
        for asset in 0..3 * limits::MODELS_IN_DEMAND as u64 {
            demand.ask(AssetId(asset), asset as f64, 900.0);
        }
        assert!(demand.asked.len() <= limits::MODELS_IN_DEMAND);
        let newest = AssetId(3 * limits::MODELS_IN_DEMAND as u64 - 1);
        assert!(demand.rate(newest, newest.0 as f64, 900.0) > 0.0);
    }
}
