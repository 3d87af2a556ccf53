//! How long an owner's jobs had backends, by the minute. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::limits;

const MINUTE_MILLIS: u64 = 60_000;

/// Milliseconds by minutes since 1970, of the longest window that there may be.
#[derive(Clone, Debug, Default)]
pub struct Used(BTreeMap<u64, u64>);

impl Used {
    /// A job had a backend in this time.
    pub fn add(&mut self, from: UnixMillis, to: UnixMillis) {
        let mut at = from.0.max(oldest(to).saturating_mul(MINUTE_MILLIS));
        while at < to.0 {
            let minute = at / MINUTE_MILLIS;
            let until = ((minute + 1) * MINUTE_MILLIS).min(to.0);
            *self.0.entry(minute).or_default() += until - at;
            at = until;
        }
        self.0 = self.0.split_off(&oldest(to));
    }

    /// In the window that ends now.
    pub fn within(&self, window: Duration, now: UnixMillis) -> Duration {
        let first = minutes_before(now, window);
        Duration::from_millis(self.0.range(first..).map(|(_, millis)| millis).sum())
    }
}

fn oldest(now: UnixMillis) -> u64 {
    minutes_before(now, *limits::GPU_WINDOW.end())
}

/// The first minute of which some lies in the window: so nobody gets more than it may.
fn minutes_before(now: UnixMillis, window: Duration) -> u64 {
    let window = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    now.0.saturating_sub(window) / MINUTE_MILLIS
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In seconds since a whole minute far from 1970.
    fn at(seconds: u64) -> UnixMillis {
        UnixMillis(30_000_000 * MINUTE_MILLIS + seconds * 1000)
    }

    fn used(spans: &[(u64, u64)]) -> Used {
        let mut used = Used::default();
        spans.iter().for_each(|(from, to)| used.add(at(*from), at(*to)));
        used
    }

    #[test]
    fn time_leaves_the_window_minute_by_minute() {
        let one = used(&[(30, 150)]);
        for (now, wanted) in
            [(150, 120), (3659, 120), (3660, 90), (3719, 90), (3720, 30), (3779, 30), (3780, 0)]
        {
            let within = one.within(Duration::from_secs(3600), at(now)).as_secs();
            assert_eq!(within, wanted, "{now}");
        }
    }

    #[test]
    fn spans_of_several_jobs_add_up_and_an_empty_one_is_nothing() {
        let window = Duration::from_secs(3600);
        assert_eq!(used(&[(0, 10), (5, 15), (60, 61)]).within(window, at(100)).as_secs(), 21);
        assert_eq!(used(&[(10, 10), (20, 10)]).within(window, at(100)), Duration::ZERO);
    }

    #[test]
    fn no_more_is_kept_than_the_longest_window_has_minutes() {
        let day = 24 * 3600;
        let mut used = used(&[(0, 3 * day)]);
        assert_eq!(used.within(Duration::from_secs(day), at(3 * day)).as_secs(), day);
        used.add(at(5 * day), at(5 * day + 1));
        assert_eq!(used.0.len(), 1);
    }
}
