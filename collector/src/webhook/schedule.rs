//! When a webhook that was not taken is sent again. Pure.

use std::time::Duration;

use crate::clock::UnixMillis;
use crate::limits;

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
/// Pauses after the first failure, the second, and so on; the last one stays. A receiver that restarts misses seconds,
/// one that is mended overnight nothing.
const PAUSES_SECONDS: [u64; 9] = [1, 5, 30, 2 * MINUTE, 10 * MINUTE, 30 * MINUTE, HOUR, 2 * HOUR, 4 * HOUR];

/// When it is sent after so many failures; `None`: it is given up.
pub(super) fn again(created_at: UnixMillis, failures: u32, now: UnixMillis) -> Option<UnixMillis> {
    let at = usize::try_from(failures.saturating_sub(1)).unwrap_or(usize::MAX);
    let seconds = PAUSES_SECONDS.get(at).or(PAUSES_SECONDS.last()).copied().unwrap_or(HOUR);
    let next = now.after(Duration::from_secs(seconds));
    (next - created_at <= limits::WEBHOOK_AGE).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_after_a_day_it_is_given_up() {
        let (mut now, mut failures, mut pauses) = (UnixMillis(1000), 0, Vec::new());
        while let Some(next) = again(UnixMillis(1000), failures + 1, now) {
            failures += 1;
            pauses.push((next - now).as_secs());
            now = next;
        }
        assert_eq!(pauses, [1, 5, 30, 120, 600, 1800, 3600, 7200, 14_400, 14_400, 14_400, 14_400, 14_400]);
        assert!(now - UnixMillis(1000) <= Duration::from_hours(24));
    }
}
