//! `/system_stats` and `/free`: a server's machine and its memory.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

/// The answer of `GET /system_stats`. What a server does not tell, or tells in a form that makes no sense, is `None`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemStats {
    /// The machine and the program.
    #[serde(default)]
    pub system: System,
    /// The device that the server computes on: one, as a rule.
    #[serde(default)]
    pub devices: Vec<Device>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The machine and the program.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// `linux`, `win32`, ...; `posix` or `nt` in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// Bytes of memory; absent in 2024.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub ram_total: Option<u64>,
    /// Bytes of memory that are available; absent in 2024.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub ram_free: Option<u64>,
    /// Absent in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comfyui_version: Option<String>,
    /// Python's version and how it was built.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub python_version: Option<String>,
    /// PyTorch's version; absent in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pytorch_version: Option<String>,
    /// The server's command line; absent in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub argv: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A device that computes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Device {
    /// Such as `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`, or `cpu`.
    #[serde(default)]
    pub name: String,
    /// `cuda`, `cpu`, `mps`, ...
    #[serde(rename = "type", default)]
    pub kind: String,
    /// Its number among those that the server sees; null for a CPU.
    #[serde(default)]
    pub index: Option<i64>,
    /// Bytes of its memory.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub vram_total: Option<u64>,
    /// Bytes free. Lags behind: a server has reported 1.2 GiB with 22 GiB really free.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub vram_free: Option<u64>,
    /// Bytes that PyTorch has reserved.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub torch_vram_total: Option<u64>,
    /// Bytes of these that hold nothing.
    #[serde(default, deserialize_with = "bytes", skip_serializing_if = "Option::is_none")]
    pub torch_vram_free: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A negative or absurd figure is unknown, not a reason to refuse the document.
fn bytes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
    Ok(Value::deserialize(deserializer)?.as_u64())
}

/// The body of `POST /free`. The answer comes at once and proves nothing; the server acts when it is idle.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FreeRequest {
    /// Drop models from the device's memory.
    #[serde(default)]
    pub unload_models: bool,
    /// Unload, and drop the executor's cached results too.
    #[serde(default)]
    pub free_memory: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_that_makes_no_sense_is_unknown() {
        let device: Device =
            serde_json::from_str(r#"{"name": "cuda:0", "type": "cuda", "vram_free": -5, "vram_total": "?"}"#)
                .unwrap();
        assert_eq!((device.vram_free, device.vram_total, device.index), (None, None, None));
    }
}
