//! One GPU, as a control file describes it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::failure::Failure;
use crate::hardware::{Clocks, Ecc, Memory, Mig, Process, RemappedRows, Utilization};

const MIB: u64 = 1 << 20;

/// A GPU. A figure that is `None` is answered with `NOT_SUPPORTED`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Gpu {
    /// Who it is, for as long as anybody holds a handle of it; unlike that of every other.
    pub uuid: String,
    /// The product.
    pub name: String,
    /// `00000000:01:00.0`.
    pub pci_bus_id: String,
    /// The number of `/dev/nvidia<n>`.
    pub minor_number: Option<u32>,
    /// Fallen off the bus: every call answers `GPU_IS_LOST`.
    pub lost: bool,
    /// What fails on this GPU, by symbol; `*` means every one.
    pub fail: BTreeMap<String, Failure>,
    /// Its memory; `None` where it is the host's.
    pub memory: Option<Memory>,
    /// How busy it is.
    pub utilization: Option<Utilization>,
    /// How busy its video encoder is.
    pub encoder_percent: Option<u32>,
    /// How busy its video decoder is.
    pub decoder_percent: Option<u32>,
    /// The GPU's temperature.
    pub temperature_celsius: Option<u32>,
    /// What it draws now.
    pub power_milliwatts: Option<u32>,
    /// What it may draw.
    pub power_limit_milliwatts: Option<u32>,
    /// What it has drawn since the driver was loaded.
    pub energy_millijoules: Option<u64>,
    /// The clocks now.
    pub clocks: Clocks,
    /// The highest clocks.
    pub clocks_max: Clocks,
    /// The speed of each fan.
    pub fans_percent: Vec<u32>,
    /// 0 (fastest) to 15.
    pub performance_state: Option<u32>,
    /// Of the link now.
    pub pcie_generation: Option<u32>,
    /// Lanes of the link now.
    pub pcie_width: Option<u32>,
    /// A set of NVML's `nvmlClocksEventReason*` bits: why the clocks are lower than they could be.
    pub clock_event_reasons: Option<u64>,
    /// Errors of a memory with ECC.
    pub ecc: Option<Ecc>,
    /// Rows of memory that were replaced.
    pub remapped_rows: Option<RemappedRows>,
    /// Its parts, if it can be cut.
    pub mig: Option<Mig>,
    /// Processes that compute on it.
    pub compute_processes: Vec<Process>,
    /// Processes that draw with it.
    pub graphics_processes: Vec<Process>,
    /// How busy its tensor cores are: GPM's metric 5. `None`: no GPM, as on desktop GPUs.
    pub tensor_active_percent: Option<f64>,
    /// Whether the driver stays loaded without clients.
    pub persistence_mode: Option<bool>,
}

impl Gpu {
    /// A desktop's GPU, idle and well. Each index (below 255) has a UUID and a PCI address of its own.
    pub fn new(index: usize) -> Self {
        Self {
            uuid: format!("GPU-5105e5d0-0000-4000-8000-{index:012x}"),
            name: "NVIDIA GeForce RTX 4090".to_owned(),
            pci_bus_id: format!("00000000:{:02X}:00.0", index + 1),
            minor_number: u32::try_from(index).ok(),
            memory: Some(Memory {
                total_bytes: 24_564 * MIB,
                used_bytes: 812 * MIB,
                reserved_bytes: 342 * MIB,
            }),
            persistence_mode: Some(false),
            ..idle()
        }
    }
}

/// The figures of a desktop's GPU with nothing to do.
fn idle() -> Gpu {
    Gpu {
        utilization: Some(Utilization { gpu_percent: 3, memory_percent: 1 }),
        encoder_percent: Some(0),
        decoder_percent: Some(0),
        temperature_celsius: Some(41),
        power_milliwatts: Some(28_500),
        power_limit_milliwatts: Some(450_000),
        energy_millijoules: Some(1_234_567),
        clocks: clocks(210, 405, 1_185),
        clocks_max: clocks(3_105, 10_501, 2_415),
        fans_percent: vec![0, 30],
        performance_state: Some(8),
        pcie_generation: Some(1),
        pcie_width: Some(16),
        clock_event_reasons: Some(1),
        ..Gpu::default()
    }
}

/// The shader clock is the graphics clock.
fn clocks(graphics: u32, memory: u32, video: u32) -> Clocks {
    Clocks {
        graphics_megahertz: Some(graphics),
        sm_megahertz: Some(graphics),
        memory_megahertz: Some(memory),
        video_megahertz: Some(video),
    }
}
