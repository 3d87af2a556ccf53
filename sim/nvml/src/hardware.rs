//! The parts of a GPU that have several figures.

use serde::{Deserialize, Serialize};

/// A GPU's memory. Free is what remains of the total.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Memory {
    /// All of it.
    pub total_bytes: u64,
    /// What processes hold.
    pub used_bytes: u64,
    /// What the driver holds: NVML's version 1 counts it as used, version 2 has it apart.
    pub reserved_bytes: u64,
}

impl Memory {
    pub(crate) fn free_bytes(self) -> u64 {
        self.total_bytes.saturating_sub(self.used_bytes).saturating_sub(self.reserved_bytes)
    }
}

/// How busy a GPU was over the last sample period.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Utilization {
    /// Of the time in which a kernel ran, in percent.
    pub gpu_percent: u32,
    /// Of the time in which memory was read or written, in percent.
    pub memory_percent: u32,
}

/// The clock of each domain in MHz.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "NVML's names of its domains")]
pub struct Clocks {
    pub graphics_megahertz: Option<u32>,
    pub sm_megahertz: Option<u32>,
    pub memory_megahertz: Option<u32>,
    pub video_megahertz: Option<u32>,
}

/// Errors that the memory's ECC found: since the driver was loaded (volatile), and over the GPU's life (aggregate).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "the type says it")]
pub struct Ecc {
    pub corrected_volatile: u64,
    pub uncorrected_volatile: u64,
    pub corrected_aggregate: u64,
    pub uncorrected_aggregate: u64,
}

/// Rows of memory that spare ones stand in for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RemappedRows {
    /// Because of correctable errors.
    pub correctable: u32,
    /// Because of uncorrectable errors.
    pub uncorrectable: u32,
    /// A row is replaced at the next reset.
    pub pending: bool,
    /// A row could not be replaced.
    pub failed: bool,
}

/// A GPU that can be cut into several.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mig {
    /// Whether it is cut now.
    pub current: bool,
    /// Whether it will be after the next reset.
    pub pending: bool,
    /// Its parts, in the order of their indices.
    pub devices: Vec<MigDevice>,
}

/// A part of a GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[expect(missing_docs, reason = "as those of a GPU")]
pub struct MigDevice {
    /// Unlike that of every other part and GPU.
    pub uuid: String,
    pub name: String,
    pub memory: Option<Memory>,
    pub compute_processes: Vec<Process>,
    pub graphics_processes: Vec<Process>,
}

/// A process that uses a GPU.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Process {
    /// Its id.
    pub pid: u32,
    /// The GPU memory that it holds; none where the driver cannot tell, as inside a container.
    pub used_bytes: Option<u64>,
}
