//! Probes: one subject each, read synchronously on a sampler thread. A probe knows how to ask; it keeps no history,
//! derives nothing from two readings, and knows nothing of HTTP or of Prometheus.

mod cpu;
mod disk;
pub mod gpu;
mod memory;
mod network;
mod process;
mod procfs;

use std::time::{Duration, Instant};

use report::{Cpu, Gpu, GpuDriver, Memory, Network, Storage};

pub use cpu::CpuProbe;
pub use disk::DiskProbe;
pub use memory::MemoryProbe;
pub use network::NetworkProbe;
pub use process::{ProcessProbe, ProcessReading};

use crate::config::{Config, RamUsed};
use gpu::{GpuProbe, NvmlDriver};

/// One subject that can be read.
pub trait Probe: Send {
    /// The label `probe` of its metrics.
    fn name(&self) -> &'static str;

    /// Reads once. `now` is when the reading begins.
    ///
    /// # Errors
    /// What failed, under a reason of few words that serves as a label.
    fn read(&mut self, now: Instant) -> Result<Reading, Failure>;

    /// How long to wait, after a reading has ended, before the next.
    fn pause(&self) -> Duration;
}

/// What a probe has read. Ages and figures that need two readings are left empty: `derive` fills them.
#[derive(Clone, Debug, PartialEq)]
pub enum Reading {
    /// Processors and load.
    Cpu(Cpu),
    /// Main memory and swap.
    Memory(Memory),
    /// Filesystems and block devices.
    Storage(Storage),
    /// Network interfaces.
    Network(Network),
    /// The agent's own process.
    Process(ProcessReading),
    /// All GPUs.
    Gpus(Gpus),
}

/// The GPUs and their driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpus {
    /// Versions of the driver.
    pub driver: GpuDriver,
    /// In the driver's order; those that are lost keep their identity and nothing else.
    pub gpus: Vec<Gpu>,
}

/// Why a reading failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The label `reason` of `orchestrator_agent_probe_failures_total`.
    pub reason: &'static str,
    /// For a person: what failed and what to do.
    pub message: String,
}

impl Failure {
    /// A failure with its label and its message.
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// The probes of one thread, which are read one after the other.
pub type Group = Vec<Box<dyn Probe>>;

/// All probes. What may hang in the kernel (a driver, a filesystem) has a thread of its own, so that it cannot
/// take the other figures with it.
pub fn groups(config: &Config) -> Vec<Group> {
    let wants_cache = config.ram_used == RamUsed::Psutil5;
    let driver = NvmlDriver::new(config.nvml_library.clone());
    vec![
        vec![
            Box::new(CpuProbe::default()),
            Box::new(MemoryProbe::new(wants_cache)),
            Box::new(NetworkProbe::default()),
            Box::new(ProcessProbe::default()),
        ],
        vec![Box::new(DiskProbe::default())],
        vec![Box::new(GpuProbe::new(Box::new(driver), config.gpu.clone()))],
    ]
}
