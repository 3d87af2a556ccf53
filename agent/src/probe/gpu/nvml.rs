//! NVIDIA's driver through NVML: opening it, and one session with it. How one GPU is read is `card.rs`; what is asked of it
//! and how often, `figures.rs`.

mod ask;
mod card;
mod figures;
mod raw;

use std::collections::HashSet;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::time::Instant;

use nvml_wrapper::error::NvmlError;
use nvml_wrapper::{Nvml, cuda_driver_version_major, cuda_driver_version_minor};
use report::GpuDriver;
use self_cell::self_cell;

use super::{Driver, Failure, GpuReading, Gpus, Session};
use crate::config::{Compat, Config};
use crate::limits::GPUS;
use card::{Card, Wishes};

/// Distributions ship the name without a number only in development packages.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// The NVIDIA driver of this machine, through its management library.
#[derive(Debug)]
pub(crate) struct NvmlDriver {
    library: PathBuf,
    wishes: Wishes,
    /// The driver that the log was told of: one that is opened again and again is told once.
    told: Option<GpuDriver>,
}

impl NvmlDriver {
    /// The library that the settings name, or else the one that the system's loader finds.
    pub(crate) fn new(config: &Config) -> Self {
        let library = config.nvml_library.clone().unwrap_or_else(|| LIBRARY.into());
        Self { library, wishes: Wishes { tensor_cores: config.compat == Some(Compat::Dcgm) }, told: None }
    }

    fn failure(&self, error: &NvmlError) -> Failure {
        let library = self.library.display();
        match error {
            NvmlError::LibloadingError(source) => Failure::new(
                "no_library",
                format!(
                    "no NVIDIA driver is installed here ({source}); the host's figures are served without its GPUs"
                ),
            ),
            NvmlError::DriverNotLoaded => {
                Failure::new("no_driver", "the NVIDIA kernel module is not loaded: run `modprobe nvidia`")
            }
            NvmlError::LibRmVersionMismatch => Failure::new(
                "version_mismatch",
                format!(
                    "{library} and the loaded NVIDIA kernel module differ in version: reload the module or reboot"
                ),
            ),
            // A container, or a unit, whose devices were taken away is told no more than that something is wrong.
            NvmlError::NoPermission | NvmlError::OperatingSystem | NvmlError::Unknown => Failure::new(
                "permission",
                format!(
                    "{library} cannot open /dev/nvidia* ({error}): check the permissions of the agent's user and unit"
                ),
            ),
            other => Failure::new("driver", format!("{library} cannot be used: {other}")),
        }
    }
}

impl Driver for NvmlDriver {
    fn open(&mut self) -> Result<Box<dyn Session>, Failure> {
        let library: &OsStr = self.library.as_os_str();
        let nvml = Nvml::builder().lib_path(library).init().map_err(|error| self.failure(&error))?;
        let count = nvml.device_count().map_err(|error| self.failure(&error))?.min(GPUS);
        if count == 0 {
            return Err(Failure::new("no_device", "the NVIDIA driver knows no GPU"));
        }
        let driver = versions(&nvml);
        if self.told.as_ref() != Some(&driver) {
            tracing::info!(gpus = count, driver = driver.driver_version, "the NVIDIA driver is open");
            self.told = Some(driver.clone());
        }
        let wishes = self.wishes;
        let open = Open::new(nvml, |nvml| (0..count).map(|index| Card::new(nvml, index, wishes)).collect());
        Ok(Box::new(NvmlSession { driver, open }))
    }
}

fn versions(nvml: &Nvml) -> GpuDriver {
    let cuda = nvml.sys_cuda_driver_version().ok();
    GpuDriver {
        driver_version: nvml.sys_driver_version().ok(),
        nvml_version: nvml.sys_nvml_version().ok(),
        cuda_version: cuda
            .map(|v| format!("{}.{}", cuda_driver_version_major(v), cuda_driver_version_minor(v))),
    }
}

type Cards<'nvml> = Vec<Card<'nvml>>;

self_cell!(
    /// The library with what was got from it, which must be dropped first.
    struct Open {
        owner: Nvml,
        #[covariant]
        dependent: Cards,
    }
);

struct NvmlSession {
    driver: GpuDriver,
    open: Open,
}

impl Session for NvmlSession {
    fn read(&mut self, now: Instant) -> Result<Gpus, Failure> {
        let gpus = self.open.with_dependent_mut(|nvml, cards| read_cards(nvml, cards, now))?;
        Ok(Gpus { driver: Some(self.driver.clone()), gpus })
    }
}

fn read_cards<'nvml>(
    nvml: &'nvml Nvml,
    cards: &mut Cards<'nvml>,
    now: Instant,
) -> Result<Vec<GpuReading>, Failure> {
    let mut readings = Vec::with_capacity(cards.len());
    let mut answers = 0;
    let mut last_error = None;
    for card in cards {
        let read = card.read(nvml, now).map_err(|error| closed(&error))?;
        answers += read.answers;
        last_error = read.error.or(last_error);
        readings.extend(read.readings);
    }
    tell_once(&mut readings);
    // A driver that answers nothing at all is not read any better by asking on.
    match last_error.filter(|_| answers == 0) {
        Some(error) => Err(closed(&error)),
        None => Ok(readings),
    }
}

/// A GPU that was lost when the driver was opened may come back at the place of another. Two series of one UUID would
/// be one to Prometheus, and both wrong.
fn tell_once(readings: &mut Vec<GpuReading>) {
    let mut told = HashSet::new();
    readings.retain(|reading| reading.gpu.uuid.clone().is_none_or(|uuid| told.insert(uuid)));
}

fn closed(error: &NvmlError) -> Failure {
    Failure::new("driver", format!("the NVIDIA driver has gone: {error}; it is opened again when it is back"))
}
