//! What is not read every time: kept, with when it was read, until its period is over.

use std::time::{Duration, Instant};

/// What a tier says: read now if its time has come, or else what it said last. And whether it was read now.
pub(in crate::probe) fn due<T: Clone>(
    last: &mut Option<(T, Instant)>,
    period: Duration,
    now: Instant,
    read: impl FnOnce() -> T,
) -> (T, bool) {
    match last {
        Some((value, at)) if now.saturating_duration_since(*at) < period => (value.clone(), false),
        _ => (last.insert((read(), now)).0.clone(), true),
    }
}
