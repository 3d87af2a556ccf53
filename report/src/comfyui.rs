//! The ComfyUI that an agent stands beside, as the operating system sees it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// One ComfyUI's process, or the control group that it has to itself.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ComfyUi {
    /// Whether it was found running: something listens at its address, its unit has processes, or its PID file names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub up: Option<bool>,
    /// Its main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its control group below the hierarchy's root, where it has one to itself, e.g. `/system.slice/comfyui.service`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroup: Option<String>,
    /// When its main process started, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process_start_time_seconds: Option<f64>,
    /// Main memory: what its control group is charged with, or else what its process has resident.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processor time, user and system, of the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_total: Option<f64>,
    /// How often another main process was found in its place since the agent's start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restarts_total: Option<u64>,
    /// Memory that its processes have on each GPU, by the GPU's UUID.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub gpu_memory_bytes: BTreeMap<String, u64>,
    /// How long ago this was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub age_seconds: Option<f64>,
}
