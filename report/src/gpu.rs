//! The GPUs' part of a report.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Versions of the NVIDIA driver and of its management library.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuDriver {
    /// E.g. `550.54.14`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub driver_version: Option<String>,
    /// E.g. `12.550.54.14`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nvml_version: Option<String>,
    /// Newest CUDA that the driver supports, e.g. `12.4`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cuda_version: Option<String>,
}

/// One GPU. What its driver does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Gpu {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// Place in the driver's order, which may change when the machine boots and need not be CUDA's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pci_bus_id: Option<String>,
    /// Whether the agent was told to speak for this GPU; several agents of a host divide its GPUs so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chosen: Option<bool>,
    /// `false` when the driver says that the GPU is lost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Share of the driver's last sampling period in which a kernel ran, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub utilization_ratio: Option<f64>,
    /// Share of that period in which memory was read or written, 0 to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_controller_utilization_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub encoder_utilization_ratio: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decoder_utilization_ratio: Option<f64>,
    /// `utilization_ratio` integrated over the agent's life.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_seconds_total: Option<f64>,
    /// Memory as NVML's version 2 counts it: `used` without what the driver reserves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<GpuMemory>,
    /// Memory as NVML's version 1 counts it: `used` with what the driver reserves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_v1: Option<GpuMemory>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature_celsius: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_watts: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub power_limit_watts: Option<f64>,
    /// Energy used since the driver was loaded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub energy_joules_total: Option<f64>,
    /// Present clock by domain: `graphics`, `sm`, `memory`, `video`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_hertz: BTreeMap<String, f64>,
    /// Highest clock by domain.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_max_hertz: BTreeMap<String, f64>,
    /// Intended speed of each fan by its number, 0 to 1 (a fan may be told to turn above its rated maximum).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub fan_speed_ratio: BTreeMap<String, f64>,
    /// 0 (fastest) to 15 (slowest).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub performance_state: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_link_generation: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pcie_link_width: Option<u32>,
    /// Whether a reason to hold clocks down is active now, by reason (`sw_power_cap`, `hw_thermal_slowdown`, ...).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_event_active: BTreeMap<String, bool>,
    /// How long each reason has been active over the agent's life.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_event_seconds_total: BTreeMap<String, f64>,
    /// Memory errors: `corrected`, `uncorrected`; over the GPU's life where it remembers them (NVIDIA), or else since its
    /// driver was loaded (AMD). Only of GPUs with error correction.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub ecc_errors_total: BTreeMap<String, f64>,
    /// Rows of memory that spare ones replace, by cause: `correctable`, `uncorrectable`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub remapped_rows: BTreeMap<String, u32>,
    /// Whether a row waits for a reset of the GPU to be replaced.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row_remap_pending: Option<bool>,
    /// XID errors since the agent's start by number. They outlive the GPU's loss, which one of them explains.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xid_errors_total: BTreeMap<u64, u64>,
    /// When each XID error last came, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub xid_last_timestamp_seconds: BTreeMap<u64, f64>,
    /// Whether the GPU is divided into MIG devices; these have entries of their own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig_mode: Option<bool>,
    /// Of a MIG device: the GPU that it is a part of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mig_parent_uuid: Option<String>,
    /// Share of time in which tensor cores worked, 0 to 1; read only where it was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tensor_active_ratio: Option<f64>,
    /// `true` where the GPU has no memory of its own: `memory` and `memory_v1` are the host's then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_unified: Option<bool>,
    /// How long ago utilization, memory, temperature, power and clocks were read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
    /// How long ago was read what is read more seldom, by period: `5s` (engines, fans, link, energy, processes),
    /// `60s` (limits, errors, rows, MIG mode).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub tier_age_seconds: BTreeMap<String, f64>,
}

/// Memory of one GPU.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GpuMemory {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_bytes: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub free_bytes: Option<u64>,
    /// What the driver keeps for itself; known to version 2 alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved_bytes: Option<u64>,
}
