//! NVIDIA GPUs. This file owns when a driver is opened and closed; how it is asked is `nvml.rs`, and which GPUs the
//! agent speaks for is `choice.rs`, above.
//!
//! ```text
//!            open ok                      a GPU is lost, pause over
//! Closed ───────────────▶ Open ─────────────────────────────────────▶ Closed, opened anew at once
//!   ▲  pause doubles       │ the driver fails as a whole, or is asked for by `release.rs`
//!   └──────────────────────┘
//! ```

mod nvml;
mod reading;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::{Duration, Instant};

use report::Gpu;

pub use nvml::NvmlDriver;
pub use reading::{GpuProcess, GpuReading, Gpus, Monotone, Totals, Xid};

use super::{Failure, Probe, Reading};
use crate::limits::{LOST_PAUSE, READ_PERIOD, REOPEN_PAUSE};
use crate::release::Release;

/// A driver that may or may not be there. NVML is one; tests script others.
pub trait Driver: Send {
    /// Opens a session with the driver that is installed now.
    ///
    /// # Errors
    /// No driver, no library, no device, or driver and library of different versions.
    fn open(&mut self) -> Result<Box<dyn Session>, Failure>;
}

/// An open driver. Dropping it lets go of the driver's library.
pub trait Session: Send {
    /// Reads all GPUs. A lost GPU has `up: Some(false)` and its identity.
    ///
    /// # Errors
    /// The driver as a whole does not answer any more; the session is useless then.
    fn read(&mut self, now: Instant) -> Result<Gpus, Failure>;
}

/// Reads all GPUs through one session for the process's life, as long as the driver lets it.
pub struct GpuProbe {
    driver: Box<dyn Driver>,
    session: Option<Box<dyn Session>>,
    release: Arc<Release>,
    /// Identities of all GPUs that were ever seen, so that one that vanishes is told as lost.
    known: Vec<Gpu>,
    reopen: Backoff,
    lost: Backoff,
    /// When the driver is opened anew for the sake of a lost GPU.
    renew_at: Option<Instant>,
    pause: Duration,
    /// Lost GPUs that the log has been told of.
    told: Vec<Gpu>,
}

impl GpuProbe {
    /// A probe that has not touched its driver yet.
    pub fn new(driver: Box<dyn Driver>, release: Arc<Release>) -> Self {
        Self {
            driver,
            session: None,
            release,
            known: Vec::new(),
            reopen: Backoff::new(REOPEN_PAUSE),
            lost: Backoff::new(LOST_PAUSE),
            renew_at: None,
            pause: READ_PERIOD,
            told: Vec::new(),
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
        self.remember(&mut gpus);
        self.tell(&gpus);
        if gpus.gpus.iter().all(|reading| reading.gpu.up == Some(true)) {
            self.lost.reset();
            self.renew_at = None;
        } else if self.renew_at.is_none() {
            self.renew_at = Some(now + self.lost.next());
        }
        gpus
    }

    /// Adds the GPUs that the driver does not speak of any more, as lost. A MIG device that is gone was taken away
    /// by somebody, like a program that has ended.
    fn remember(&mut self, gpus: &mut Gpus) {
        let seen = gpus.gpus.iter().map(|reading| &reading.gpu);
        for gpu in seen.filter(|gpu| gpu.uuid.is_some() && gpu.mig_parent_uuid.is_none()) {
            self.known.retain(|known| known.uuid != gpu.uuid);
            self.known.push(identity(gpu));
        }
        let gone: Vec<GpuReading> = self
            .known
            .iter()
            .filter(|known| !gpus.gpus.iter().any(|reading| reading.gpu.uuid == known.uuid))
            .map(|known| GpuReading { gpu: known.clone(), ..GpuReading::default() })
            .collect();
        gpus.gpus.extend(gone);
    }

    fn tell(&mut self, gpus: &Gpus) {
        let down = gpus.gpus.iter().map(|reading| &reading.gpu).filter(|gpu| gpu.up != Some(true));
        let lost: Vec<Gpu> = down.map(identity).collect();
        for gpu in lost.iter().filter(|gpu| !self.told.contains(gpu)) {
            tracing::warn!(uuid = gpu.uuid, pci_bus_id = gpu.pci_bus_id, "a GPU is lost; reset it or reboot");
        }
        for gpu in self.told.iter().filter(|gpu| !lost.contains(gpu)) {
            tracing::info!(uuid = gpu.uuid, "a lost GPU is back");
        }
        self.told = lost;
    }
}

const RELEASED: &str = "NVML is let go of on demand; GPUs are read again when the time asked for is over";

/// Who a GPU is, without what it did and without its place, which another may have by now.
fn identity(gpu: &Gpu) -> Gpu {
    Gpu {
        uuid: gpu.uuid.clone(),
        name: gpu.name.clone(),
        pci_bus_id: gpu.pci_bus_id.clone(),
        up: Some(false),
        ..Gpu::default()
    }
}

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
