//! Wall time that never goes back: the time of day at start plus what a steady clock has counted since.
//! Everything that decides takes its time from here as an argument.

use std::ops::Sub;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, as ComfyUI writes its timestamps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct UnixMillis(pub u64);

impl UnixMillis {
    pub fn after(self, wait: Duration) -> Self {
        Self(self.0.saturating_add(millis(wait)))
    }

    /// As people and other programs write a time: `2030-01-31T18:00:00.5Z`.
    pub fn to_rfc3339(self) -> String {
        let at = i64::try_from(self.0).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
        at.unwrap_or(jiff::Timestamp::MAX).to_string()
    }

    pub fn before(self, wait: Duration) -> Self {
        Self(self.0.saturating_sub(millis(wait)))
    }

    pub fn as_seconds(self) -> f64 {
        self.0 as f64 / 1000.0
    }
}

/// How long since; zero for a time that lies ahead.
impl Sub for UnixMillis {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[derive(Clone, Copy, Debug)]
pub struct Clock {
    started: Instant,
    started_at: UnixMillis,
}

impl Clock {
    pub fn start() -> Self {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { started: Instant::now(), started_at: UnixMillis(millis(since_1970)) }
    }

    pub fn now(&self) -> UnixMillis {
        self.started_at.after(self.started.elapsed())
    }
}
