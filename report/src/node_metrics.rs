//! The JSON of `GET /orchestrator/metrics`, as ComfyUI's custom node of old wrote it and the agent still does.

use serde::{Deserialize, Serialize};

/// Figures of one host and one GPU, in the units of the Python node (psutil and pynvml): MiB rounded down, percent,
/// degrees Celsius.
///
/// A key that could not be read is absent. The `gpu_*` keys exist only with an NVIDIA GPU; there are readers and
/// writers of this document that know no `gpu_name`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeMetrics {
    /// Busy share of all CPUs, 0 to 100, one decimal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_utilization: Option<f64>,
    /// Memory of the whole host, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_total: Option<u64>,
    /// Memory in use on the whole host, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ram_used: Option<u64>,
    /// Product name of the GPU.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_name: Option<String>,
    /// Memory of the GPU, MiB.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_total: Option<u64>,
    /// Memory in use on the GPU, MiB, with what the driver reserves (`nvmlDeviceGetMemoryInfo`, version 1).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_memory_used: Option<u64>,
    /// Share of the last sampling period in which a kernel ran, percent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_utilization: Option<u32>,
    /// Temperature of the GPU's die, °C.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gpu_temperature: Option<u32>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_python_nodes_document_loads() {
        let document = r#"{"cpu_utilization": 12.5, "ram_total": 64215, "ram_used": 20110,
            "gpu_name": "NVIDIA GeForce RTX 4090", "gpu_memory_total": 24564, "gpu_memory_used": 912,
            "gpu_utilization": 37, "gpu_temperature": 51}"#;
        let metrics: NodeMetrics = serde_json::from_str(document).unwrap();
        assert_eq!(metrics.cpu_utilization, Some(12.5));
        assert_eq!(metrics.gpu_name.as_deref(), Some("NVIDIA GeForce RTX 4090"));
        assert_eq!(metrics.gpu_memory_used, Some(912));
        assert_eq!(metrics.gpu_temperature, Some(51));
    }

    #[test]
    fn the_python_nodes_document_without_a_gpu_loads() {
        let metrics: NodeMetrics =
            serde_json::from_str(r#"{"cpu_utilization": 0.0, "ram_total": 100, "ram_used": 50}"#).unwrap();
        assert_eq!(metrics.cpu_utilization, Some(0.0));
        assert_eq!((metrics.gpu_name, metrics.gpu_memory_total), (None, None));
    }

    #[test]
    fn the_document_without_a_gpu_name_loads() {
        let metrics: NodeMetrics = serde_json::from_str(
            r#"{"cpu_utilization": 1, "ram_total": 100, "ram_used": 50, "gpu_memory_total": 24564,
                "gpu_memory_used": 912, "gpu_utilization": 37, "gpu_temperature": 51}"#,
        )
        .unwrap();
        assert_eq!((metrics.gpu_name, metrics.gpu_utilization), (None, Some(37)));
    }

    #[test]
    fn keys_of_another_writer_are_ignored() {
        let metrics: NodeMetrics =
            serde_json::from_str(r#"{"ram_total": 100, "disk_free": 5, "gpus": []}"#).unwrap();
        assert_eq!(metrics, NodeMetrics { ram_total: Some(100), ..NodeMetrics::default() });
    }

    #[test]
    fn what_was_not_read_has_no_key() {
        let metrics =
            NodeMetrics { cpu_utilization: Some(3.0), gpu_utilization: Some(0), ..NodeMetrics::default() };
        assert_eq!(
            serde_json::to_string(&metrics).unwrap(),
            r#"{"cpu_utilization":3.0,"gpu_utilization":0}"#
        );
    }
}
