//! Whether a server is up, by its answers. Pure.
//!
//! A refused connection counts at once: nothing listens there, so the process is gone. Anything else (a time-out, a
//! reset, a 5xx) may be a hiccup of a busy server, so it takes [`limits::FAILURES_UNTIL_DOWN`] in a row.

use std::fmt;
use std::time::Duration;

use crate::clock::UnixMillis;
use crate::limits;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Health {
    pub status: Status,
    failures: u32,
    failed_at: UnixMillis,
    /// What went wrong last; kept while it is not up.
    pub reason: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Status {
    /// It was not asked yet.
    #[default]
    Unknown,
    Up {
        since: UnixMillis,
    },
    Down {
        since: UnixMillis,
        refused: bool,
    },
}

/// A failed request, as far as health cares.
#[derive(Clone, Debug)]
pub struct Failure {
    /// Nothing listens there.
    pub refused: bool,
    pub reason: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.reason)
    }
}

impl From<comfyui::Error> for Failure {
    fn from(error: comfyui::Error) -> Self {
        Self { refused: matches!(error.cause, comfyui::Cause::Refused), reason: error.to_string() }
    }
}

impl Health {
    pub fn is_up(&self) -> bool {
        matches!(self.status, Status::Up { .. })
    }

    pub fn is_down(&self) -> bool {
        matches!(self.status, Status::Down { .. })
    }

    /// From the first refused connection to the last, without an answer in between: one refusal alone proves nothing.
    pub fn refused_for(&self) -> Option<Duration> {
        match self.status {
            Status::Down { since, refused: true } => Some(self.failed_at - since),
            _ => None,
        }
    }

    pub fn after_answer(&self, now: UnixMillis) -> Self {
        let status = match self.status {
            Status::Up { .. } => self.status,
            Status::Unknown | Status::Down { .. } => Status::Up { since: now },
        };
        Self { status, failures: 0, failed_at: self.failed_at, reason: None }
    }

    pub fn after_failure(&self, failure: &Failure, now: UnixMillis) -> Self {
        let failures = self.failures.saturating_add(1);
        let status = match self.status {
            Status::Down { since, refused } if refused == failure.refused => Status::Down { since, refused },
            _ if failure.refused => Status::Down { since: now, refused: true },
            Status::Unknown | Status::Up { .. } if failures < limits::FAILURES_UNTIL_DOWN => self.status,
            _ => Status::Down { since: now, refused: false },
        };
        Self { status, failures, failed_at: now, reason: Some(failure.reason.clone()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failure(refused: bool) -> Failure {
        Failure { refused, reason: "x".into() }
    }

    #[test]
    fn a_refused_connection_is_down_at_once_and_since_the_first_refusal() {
        let up = Health::default().after_answer(UnixMillis(1));
        let down =
            up.after_failure(&failure(true), UnixMillis(2)).after_failure(&failure(true), UnixMillis(9));
        assert_eq!(down.status, Status::Down { since: UnixMillis(2), refused: true });
        assert_eq!(down.refused_for(), Some(Duration::from_millis(7)));
        assert_eq!(up.after_failure(&failure(true), UnixMillis(2)).refused_for(), Some(Duration::ZERO));
    }

    #[test]
    fn a_hiccup_does_not_take_a_backend_down_but_a_row_of_them_does() {
        let mut health = Health::default().after_answer(UnixMillis(1));
        for at in 2..4 {
            health = health.after_failure(&failure(false), UnixMillis(at));
            assert!(health.is_up());
        }
        let recovered = health.after_answer(UnixMillis(5));
        assert_eq!(recovered.status, Status::Up { since: UnixMillis(1) });
        let down = health.after_failure(&failure(false), UnixMillis(6));
        assert_eq!(down.status, Status::Down { since: UnixMillis(6), refused: false });
    }

    #[test]
    fn a_host_that_stops_refusing_and_falls_silent_is_no_longer_proved_gone() {
        let refused = Health::default().after_failure(&failure(true), UnixMillis(1));
        let silent = refused.after_failure(&failure(false), UnixMillis(2));
        assert_eq!(silent.status, Status::Down { since: UnixMillis(2), refused: false });
    }
}
