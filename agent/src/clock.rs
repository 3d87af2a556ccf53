//! Moments in seconds since the Unix epoch, as Prometheus wants them.

use std::time::{SystemTime, UNIX_EPOCH};

/// This moment.
pub(crate) fn now_unix_seconds() -> f64 {
    unix_seconds(SystemTime::now()).unwrap_or_default()
}

/// A moment; `None` if it is before the epoch.
pub(crate) fn unix_seconds(time: SystemTime) -> Option<f64> {
    Some(time.duration_since(UNIX_EPOCH).ok()?.as_secs_f64())
}
