//! A backend as a decision sees it.

use super::memory::{LoadTimes, Memory};

/// A job that runs past its estimate is expected to need this share of what it has taken already.
const LATE: f64 = 0.2;
/// A job that needs no load is handed over so long before the running one is expected to end.
const HANDOVER_SECONDS: f64 = 1.0;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Standing {
    /// Whatever waits, it gets none.
    #[default]
    Closed,
    Idle,
    /// It runs something that began at `since` and is expected to end at `until`. `has_room`: it may be given one more job.
    Busy {
        since: f64,
        until: f64,
        has_room: bool,
    },
}

/// What a backend may be given now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Open {
    No,
    /// Only what it need not load anything for: it is about to end what it runs.
    ForHot,
    ForAll,
}

#[derive(Clone, Debug, Default)]
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

impl Slot {
    pub fn new(memory: Memory) -> Self {
        Self { memory, speed: 1.0, ..Self::default() }
    }

    pub(super) fn is_open(&self) -> bool {
        self.standing != Standing::Closed
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

    pub(super) fn opens(&self, now: f64) -> Open {
        match self.standing {
            Standing::Closed => Open::No,
            Standing::Idle => Open::ForAll,
            Standing::Busy { until, has_room: true, .. } if until - now <= HANDOVER_SECONDS => Open::ForHot,
            Standing::Busy { .. } => Open::No,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runs_past_its_estimate_is_expected_to_need_a_share_of_what_it_has_taken() {
        let standing = Standing::Busy { since: 10.0, until: 20.0, has_room: true };
        let slot = Slot { standing, ..Slot::default() };
        for (now, residual) in [(12.0, 8.0), (19.5, 0.5), (20.0, 2.0), (60.0, 10.0)] {
            assert_eq!(slot.residual(now), residual, "{now}");
        }
        assert_eq!(slot.opens(18.9), Open::No);
        assert_eq!(slot.opens(19.0), Open::ForHot);
    }
}
