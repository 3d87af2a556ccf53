//! The words that agent and collector share: serde types and nothing else.
//!
//! Every type here is additive. A document that any version ever wrote still loads: keys that this version does not
//! know are ignored, keys that are missing become `None` (or an empty list). What was not read is absent when
//! written, never `0` and never `null`. This package must not touch files, sockets or clocks.

mod comfyui;
mod gpu;
mod host;
mod models;
mod node_metrics;

use serde::{Deserialize, Serialize};

pub use comfyui::ComfyUi;
pub use gpu::{Gpu, GpuDriver, GpuMemory};
pub use host::{Cpu, Disk, Filesystem, Host, Load, Memory, Network, Pressure, Storage, Traffic};
pub use models::{ModelFile, Models};
pub use node_metrics::NodeMetrics;

/// The answer to `GET /v1/report`: everything that one agent knows of its machine.
///
/// Every group of readings carries `age_seconds`: how long before this answer it was read. With `?models=false` it leaves
/// `models` out, which may be megabytes and seldom change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The agent that answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<Agent>,
    /// Figures of the whole machine.
    #[serde(default)]
    pub host: Host,
    /// The NVIDIA driver in use; absent without one, and for GPUs of other makers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_driver: Option<GpuDriver>,
    /// Every GPU that a driver knows or knew, in the drivers' order.
    #[serde(default)]
    pub gpus: Vec<Gpu>,
    /// The ComfyUI that the agent stands beside.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comfyui: Option<ComfyUi>,
    /// Model files; only where the agent was asked to list folders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub models: Option<Models>,
    /// How each probe of the agent fares.
    #[serde(default)]
    pub probes: Vec<Probe>,
    /// What `GET /orchestrator/metrics` answers now, for whoever reads reports and is asked for that document.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_metrics: Option<NodeMetrics>,
}

/// The agent's own process.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Agent {
    /// Version of the agent's package, e.g. `0.1.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Source revision that the agent was built from, where the build knew it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<String>,
    /// Compiler that built it, e.g. `1.95.0`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rustc: Option<String>,
    /// When the agent started, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_time_seconds: Option<f64>,
    /// Resident memory of the agent's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resident_memory_bytes: Option<u64>,
    /// Address space of the agent's process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub virtual_memory_bytes: Option<u64>,
    /// Processor time, user and system, that the agent has used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_seconds_total: Option<f64>,
    /// File descriptors that the agent has open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open_fds: Option<u64>,
    /// File descriptors that the agent may have open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_fds: Option<u64>,
    /// Threads of the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u64>,
    /// Whether the token and the certificate could be read when they were last to be read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_last_reload_successful: Option<bool>,
    /// When they were last read so with success, or at the start, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_last_reload_success_timestamp_seconds: Option<f64>,
    /// When the certificate expires, in seconds since the Unix epoch.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_certificate_expiry_timestamp_seconds: Option<f64>,
}

/// How one probe of the agent fares.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// The probe's name, e.g. `cpu`.
    pub name: String,
    /// Whether its last reading succeeded and came in time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success: Option<bool>,
    /// How long the last finished reading took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// When it last succeeded, in seconds since the Unix epoch; absent when it never did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_success_timestamp_seconds: Option<f64>,
    /// Failures since the agent's start, by reason.
    #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
    pub failures_total: std::collections::BTreeMap<String, u64>,
    /// What the last failure said; absent while the probe succeeds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_document_is_a_report_that_knows_nothing() {
        let report: Report = serde_json::from_str("{}").unwrap();
        assert_eq!(report, Report::default());
    }

    #[test]
    fn a_report_survives_being_written_and_read() {
        let report = Report {
            agent: Some(Agent { version: Some("0.1.0".into()), ..Agent::default() }),
            host: Host {
                memory: Some(Memory {
                    total_bytes: Some(1 << 34),
                    age_seconds: Some(0.5),
                    ..Memory::default()
                }),
                ..Host::default()
            },
            gpus: vec![Gpu { uuid: Some("GPU-1".into()), temperature_celsius: Some(41.0), ..Gpu::default() }],
            ..Report::default()
        };
        let text = serde_json::to_string(&report).unwrap();
        assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), report);
    }

    #[test]
    fn a_report_with_keys_of_a_later_version_still_loads() {
        let later = include_str!("../tests/data/report_of_a_later_version.json");
        let report: Report = serde_json::from_str(later).unwrap();
        assert_eq!(report.gpus[0].uuid.as_deref(), Some("GPU-1"));
        assert_eq!(report.gpus[0].memory.as_ref().unwrap().used_bytes, Some(42));
        assert_eq!(report.host.cpu.unwrap().utilization_ratio, Some(0.25));
    }

    #[test]
    fn a_report_of_the_first_version_still_loads_whole() {
        let first = include_str!("../tests/data/report_of_0_1.json");
        let report: Report = serde_json::from_str(first).unwrap();
        let again: serde_json::Value = serde_json::to_value(&report).unwrap();
        assert_eq!(again, serde_json::from_str::<serde_json::Value>(first).unwrap());
    }

    #[test]
    fn what_was_not_read_is_written_neither_as_zero_nor_as_null() {
        let text =
            serde_json::to_string(&Report { gpus: vec![Gpu::default()], ..Report::default() }).unwrap();
        assert_eq!(text, r#"{"host":{},"gpus":[{}],"probes":[]}"#);
    }
}
