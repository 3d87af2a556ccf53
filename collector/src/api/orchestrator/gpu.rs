//! A backend's GPU, by the best source there is: its agent, else ComfyUI's own `/system_stats`.

use comfyui::api::Device;
use report::NodeMetrics;
use serde::Serialize;
use utoipa::ToSchema;

use crate::fleet::Backend;

const MIB: u64 = 1024 * 1024;

/// What is not known is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct Gpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    utilization_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_total_bytes: Option<u64>,
    /// Whoever uses it.
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_celsius: Option<f64>,
}

impl Gpu {
    pub(super) fn of(backend: &Backend) -> Self {
        let device = backend.stats.as_ref().and_then(|read| read.value.devices.first());
        let told = device.map(Self::by_comfyui).unwrap_or_default();
        let seen =
            backend.agent.as_ref().map(|read| Self::by_agent(&read.value.document)).unwrap_or_default();
        // Of one source: the two count differently.
        let memory = if seen.vram_total_bytes.is_some() { &seen } else { &told };
        Self {
            name: seen.name.clone().or_else(|| told.name.clone()),
            vram_total_bytes: memory.vram_total_bytes,
            vram_used_bytes: memory.vram_used_bytes,
            ..seen
        }
    }

    fn by_agent(metrics: &NodeMetrics) -> Self {
        Self {
            name: metrics.gpu_name.clone(),
            utilization_ratio: metrics.gpu_utilization.map(|percent| f64::from(percent) / 100.0),
            vram_total_bytes: metrics.gpu_memory_total.map(|mib| mib.saturating_mul(MIB)),
            vram_used_bytes: metrics.gpu_memory_used.map(|mib| mib.saturating_mul(MIB)),
            temperature_celsius: metrics.gpu_temperature.map(f64::from),
        }
    }

    fn by_comfyui(device: &Device) -> Self {
        let used = || device.vram_total?.checked_sub(device.vram_free?);
        Self {
            name: Some(bare(&device.name).to_owned()).filter(|name| !name.is_empty()),
            vram_total_bytes: device.vram_total,
            vram_used_bytes: used(),
            ..Self::default()
        }
    }
}

/// ComfyUI writes `cuda:0 NVIDIA GeForce RTX 4090 : cudaMallocAsync`.
fn bare(name: &str) -> &str {
    let name = name.split(" : ").next().unwrap_or(name);
    name.strip_prefix("cuda:").and_then(|rest| rest.split_once(' ')).map_or(name, |(_, name)| name)
}
