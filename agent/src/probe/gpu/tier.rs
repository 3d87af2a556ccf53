//! What is not read every time: kept, with when it was read, until its period is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::limits::{GPU_MEDIUM_PERIOD, GPU_SLOW_PERIOD};

/// What was read last, and when.
#[derive(Debug)]
pub(in crate::probe) struct Tier<T> {
    period: Duration,
    last: Option<(T, Instant)>,
}

/// The two tiers of a GPU's figures.
#[derive(Debug)]
pub(in crate::probe) struct Tiers<Medium, Slow> {
    pub(in crate::probe) medium: Tier<Medium>,
    pub(in crate::probe) slow: Tier<Slow>,
}

impl<T: Clone> Tier<T> {
    pub(in crate::probe) fn new(period: Duration) -> Self {
        Self { period, last: None }
    }

    /// What is read now if its time has come, or else what was read last. And whether it was read now.
    pub(in crate::probe) fn due(&mut self, now: Instant, read: impl FnOnce() -> T) -> (T, bool) {
        match &self.last {
            Some((value, at)) if now.saturating_duration_since(*at) < self.period => (value.clone(), false),
            _ => (self.last.insert((read(), now)).0.clone(), true),
        }
    }

    /// Forgets what was read, of a device that is gone or asleep.
    pub(in crate::probe) fn forget(&mut self) {
        self.last = None;
    }
}

impl<Medium: Clone, Slow: Clone> Tiers<Medium, Slow> {
    pub(in crate::probe) fn new() -> Self {
        Self { medium: Tier::new(GPU_MEDIUM_PERIOD), slow: Tier::new(GPU_SLOW_PERIOD) }
    }

    pub(in crate::probe) fn forget(&mut self) {
        self.medium.forget();
        self.slow.forget();
    }

    /// When each was read, by the keys of [`report::Gpu::tier_age_seconds`].
    pub(in crate::probe) fn read_at(&self) -> BTreeMap<&'static str, Instant> {
        let medium = self.medium.last.as_ref().map(|(_, at)| ("5s", *at));
        let slow = self.slow.last.as_ref().map(|(_, at)| ("60s", *at));
        medium.into_iter().chain(slow).collect()
    }
}
