//! A backend as a decision sees it.

use super::memory::{LoadTimes, Memory};

/// A job that runs past its estimate is expected to need this share of what it has taken already.
const LATE: f64 = 0.2;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Standing {
    /// Whatever waits, it gets none.
    #[default]
    Closed,
    Idle,
    /// It runs something that began at `since` and is expected to end at `until`.
    Busy {
        since: f64,
        until: f64,
    },
}

#[derive(Clone, Debug)]
pub struct Slot {
    pub standing: Standing,
    pub memory: Memory,
    pub loads: LoadTimes,
    /// How fast it runs a job, beside the mean of the fleet.
    pub speed: f64,
    /// From so many runs is its speed known.
    pub(super) runs: u32,
    /// Runs that it may still give to jobs that need no load before others take over, in seconds.
    pub(super) budget: f64,
    /// It runs a job that counts as long.
    pub(super) is_long: bool,
}

impl Default for Slot {
    fn default() -> Self {
        let (standing, memory, loads) = Default::default();
        Self { standing, memory, loads, speed: 1.0, runs: 0, budget: 0.0, is_long: false }
    }
}

impl Slot {
    pub fn new(memory: Memory) -> Self {
        Self { memory, ..Self::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.standing != Standing::Closed
    }

    pub(super) fn is_idle(&self) -> bool {
        self.standing == Standing::Idle
    }

    /// Seconds until it is expected to be idle.
    pub(super) fn residual(&self, now: f64) -> f64 {
        match self.standing {
            Standing::Closed | Standing::Idle => 0.0,
            Standing::Busy { until, .. } if until > now => until - now,
            Standing::Busy { since, .. } => LATE * (now - since).max(0.0),
        }
    }

    /// When what it runs is expected to end.
    pub(super) fn ends(&self, now: f64) -> Option<f64> {
        matches!(self.standing, Standing::Busy { .. }).then(|| now + self.residual(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_past_its_estimate_is_expected_to_need_a_share_of_what_it_has_taken() {
        let standing = Standing::Busy { since: 10.0, until: 20.0 };
        let slot = Slot { standing, ..Slot::default() };
        for (now, residual) in [(12.0, 8.0), (19.5, 0.5), (20.0, 2.0), (60.0, 10.0)] {
            assert_eq!(slot.residual(now), residual, "{now}");
        }
    }
}
