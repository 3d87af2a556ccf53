//! Probes: one subject each, read synchronously on a sampler thread. A probe knows how to ask; it keeps no history,
//! derives nothing from two readings, and knows nothing of HTTP or of Prometheus.

mod amd;
mod comfyui;
mod cpu;
mod disk;
pub(crate) mod gpu;
mod memory;
mod models;
mod network;
mod pressure;
mod process;
mod procfs;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use report::{ComfyUi, Cpu, Memory, Models, Network, Pressure, Storage};

pub(crate) use amd::AmdProbe;
pub use comfyui::ComfyUiProbe;
pub(crate) use cpu::CpuProbe;
pub(crate) use disk::{DiskProbe, FolderProbe};
pub(crate) use memory::MemoryProbe;
pub(crate) use models::ModelsProbe;
pub(crate) use network::NetworkProbe;
pub(crate) use pressure::PressureProbe;
pub(crate) use process::{ProcessProbe, ProcessReading};

use crate::config::{Beside, Config, Subject};
use crate::limits::READ_DEADLINE;
use crate::release::Release;
pub(crate) use gpu::{GpuProcess, GpuReading, Gpus, Monotone, Totals, Xid};

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

    /// How late the next reading may be before it counts as failed.
    fn patience(&self) -> Duration {
        READ_DEADLINE
    }
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
    /// Time lost waiting.
    Pressure(Pressure),
    /// The agent's own process.
    Process(ProcessReading),
    /// All GPUs of one maker.
    Gpus(Gpus),
    /// The ComfyUI that the agent stands beside.
    ComfyUi(ComfyUiReading),
    /// The host's model files.
    Models(Models),
}

impl Reading {
    /// Busy share of all processors, 0 to 1, if these are they.
    pub fn cpu_utilization_ratio(&self) -> Option<f64> {
        match self {
            Self::Cpu(cpu) => cpu.utilization_ratio,
            _ => None,
        }
    }

    /// Main memory, if this is it.
    pub fn memory(&self) -> Option<&Memory> {
        match self {
            Self::Memory(memory) => Some(memory),
            _ => None,
        }
    }

    /// The GPUs, if these are some.
    pub fn gpus(&self) -> &[GpuReading] {
        match self {
            Self::Gpus(gpus) => &gpus.gpus,
            _ => &[],
        }
    }

    /// ComfyUI's processes, if this is its reading.
    pub fn comfyui_pids(&self) -> &[u32] {
        match self {
            Self::ComfyUi(reading) => &reading.pids,
            _ => &[],
        }
    }
}

/// The ComfyUI that the agent stands beside.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ComfyUiReading {
    /// What is told of it; restarts and GPU memory are left empty.
    pub comfyui: ComfyUi,
    /// All its processes, by which its GPU memory is found.
    pub pids: Vec<u32>,
    /// When the main process that was seen last had started; `derive` counts restarts by it.
    pub last_start_time_seconds: Option<f64>,
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
pub(crate) type Group = Vec<Box<dyn Probe>>;

/// All probes that are wanted. What may hang in the kernel (a driver, a filesystem) has a thread of its own, so that
/// it cannot take the other figures with it.
pub(crate) fn groups(config: &Config, release: &Arc<Release>) -> Vec<Group> {
    let wanted = |subject| config.probes.wants(subject);
    let driver = NvmlDriver::new(config);
    let all: [Vec<(Subject, Box<dyn Probe>)>; 6] = [
        vec![
            (Subject::Cpu, Box::new(CpuProbe::default())),
            (Subject::Memory, Box::new(MemoryProbe)),
            (Subject::Network, Box::new(NetworkProbe)),
            (Subject::Pressure, Box::new(PressureProbe::default())),
            (Subject::Process, Box::new(ProcessProbe::default())),
        ],
        vec![(Subject::Comfyui, Box::new(ComfyUiProbe::new(config.beside.whereabouts(config.listen))))],
        vec![(Subject::Disk, disk(&config.beside))],
        vec![(Subject::Gpu, Box::new(GpuProbe::new(Box::new(driver), Arc::clone(release))))],
        vec![(Subject::AmdGpu, Box::new(AmdProbe::default()))],
        models(&config.beside.models),
    ];
    let chosen =
        all.map(|group| group.into_iter().filter(|(subject, _)| wanted(*subject)).map(|(_, probe)| probe));
    chosen.into_iter().map(Iterator::collect).filter(|group: &Group| !group.is_empty()).collect()
}

fn disk(beside: &Beside) -> Box<dyn Probe> {
    let folders = || beside.folder.iter().chain(&beside.models);
    if folders().next().is_none() {
        Box::new(DiskProbe::default())
    } else {
        Box::new(FolderProbe::new(folders()))
    }
}

/// Only where folders are named.
fn models(folders: &[PathBuf]) -> Vec<(Subject, Box<dyn Probe>)> {
    if folders.is_empty() { Vec::new() } else { vec![(Subject::Models, Box::new(ModelsProbe::new(folders)))] }
}
