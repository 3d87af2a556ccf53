//! NVIDIA GPUs. This file owns when a driver is opened and closed; how it is asked is `nvml.rs`, and which GPUs the
//! agent speaks for is `choice.rs`, above.
//!
//! ```text
//!            open ok                      a GPU is lost, pause over
//! Closed ───────────────▶ Open ─────────────────────────────────────▶ Closed, opened anew at once
//!   ▲  pause doubles       │ the driver fails as a whole, or is asked for by `release.rs`
//!   └──────────────────────┘
//! ```

mod lost;
mod nvml;
mod reading;
#[cfg(test)]
mod tests;
pub(super) mod tier;

use std::sync::Arc;
use std::time::{Duration, Instant};

pub(super) use lost::Lost;
pub(crate) use nvml::NvmlDriver;
pub(crate) use reading::{GpuProcess, GpuReading, Gpus, Monotone, Totals, Xid};

use super::{Failure, Probe, Reading};
use crate::limits::{LOST_PAUSE, READ_PERIOD, REOPEN_PAUSE};
use crate::release::Release;

/// A driver that may or may not be there. NVML is one; tests script others.
pub(crate) trait Driver: Send {
    /// Opens a session with the driver that is installed now.
    ///
    /// # Errors
    /// No driver, no library, no device, or driver and library of different versions.
    fn open(&mut self) -> Result<Box<dyn Session>, Failure>;
}

/// An open driver. Dropping it lets go of the driver's library.
pub(crate) trait Session: Send {
    /// Reads all GPUs. A lost GPU has `up: Some(false)` and its identity.
    ///
    /// # Errors
    /// The driver as a whole does not answer any more; the session is useless then.
    fn read(&mut self, now: Instant) -> Result<Gpus, Failure>;
}

/// Reads all GPUs through one session for the process's life, as long as the driver lets it.
pub(crate) struct GpuProbe {
    driver: Box<dyn Driver>,
    session: Option<Box<dyn Session>>,
    release: Arc<Release>,
    reopen: Backoff,
    renew: Backoff,
    /// When the driver is opened anew for the sake of a lost GPU.
    renew_at: Option<Instant>,
    pause: Duration,
    lost: Lost,
}

impl GpuProbe {
    /// A probe that has not touched its driver yet.
    pub(crate) fn new(driver: Box<dyn Driver>, release: Arc<Release>) -> Self {
        Self {
            driver,
            session: None,
            release,
            reopen: Backoff::new(REOPEN_PAUSE),
            renew: Backoff::new(LOST_PAUSE),
            renew_at: None,
            pause: READ_PERIOD,
            lost: Lost::default(),
        }
    }

    fn read_session(&mut self, now: Instant) -> Result<Gpus, Failure> {
        self.release.hold();
        if let Some(rest) = self.release.rest(now) {
            self.pause = rest.min(READ_PERIOD);
            return Err(Failure::new("released", RELEASED));
        }
        if self.renew_at.is_some_and(|at| at <= now) {
            self.renew_at = None;
            self.session = None;
        }
        let session = match &mut self.session {
            Some(session) => session,
            // Whoever closes a session drops it there and then: while an old one is held, its library stays
            // mapped, and a driver of another version can never be opened.
            None => self.session.insert(self.driver.open().inspect_err(|_| self.pause = self.reopen.next())?),
        };
        session.read(now).inspect_err(|_| self.pause = self.reopen.next())
    }

    fn settle(&mut self, mut gpus: Gpus, now: Instant) -> Gpus {
        self.lost.settle(&mut gpus);
        if gpus.gpus.iter().all(|reading| reading.gpu.up == Some(true)) {
            self.renew.reset();
            self.renew_at = None;
        } else if self.renew_at.is_none() {
            self.renew_at = Some(now + self.renew.next());
        }
        gpus
    }
}

const RELEASED: &str = "NVML is let go of on demand; GPUs are read again when the time asked for is over";

impl Probe for GpuProbe {
    fn name(&self) -> &'static str {
        "gpu"
    }

    fn read(&mut self, now: Instant) -> Result<Reading, Failure> {
        match self.read_session(now) {
            Ok(gpus) => {
                self.reopen.reset();
                self.pause = READ_PERIOD;
                Ok(Reading::Gpus(self.settle(gpus, now)))
            }
            Err(failure) => {
                self.session = None;
                self.release.let_go();
                Err(failure)
            }
        }
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}

/// A pause that doubles from a first to a longest.
#[derive(Debug)]
struct Backoff {
    first: Duration,
    longest: Duration,
    next: Duration,
}

impl Backoff {
    fn new((first, longest): (Duration, Duration)) -> Self {
        Self { first, longest, next: first }
    }

    fn next(&mut self) -> Duration {
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        pause
    }

    fn reset(&mut self) {
        self.next = self.first;
    }
}
