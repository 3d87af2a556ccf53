//! A backend's GPU, by the best source there is: its agent, else ComfyUI's own `/system_stats`.

use comfyui::api::Device;
use report::NodeMetrics;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::fleet::{Backend, Figures, Read, figures};

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
    /// What ComfyUI holds of it, and what all others do.
    #[serde(skip_serializing_if = "Option::is_none")]
    comfyui_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    others_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_celsius: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_watts: Option<f64>,
}

impl Gpu {
    pub(super) fn of(backend: &Backend, now: UnixMillis) -> Self {
        let device = backend.stats.as_ref().and_then(|read| read.value.devices.first());
        let told = device.map(Self::by_comfyui).unwrap_or_default();
        let seen = backend.agent.as_ref().map(|read| Self::by_agent(&read.value, now)).unwrap_or_default();
        let name = seen.name.clone().or_else(|| told.name.clone());
        if seen.vram_total_bytes.is_some() {
            return Self { name, ..seen };
        }
        // Memory is of one source: the two count differently.
        let (vram_total_bytes, vram_used_bytes) = (told.vram_total_bytes, told.vram_used_bytes);
        Self { name, vram_total_bytes, vram_used_bytes, comfyui_bytes: None, others_bytes: None, ..seen }
    }

    /// Where it cannot be told which GPU its ComfyUI works on, the one that the old node's document is of.
    fn by_agent(figures: &Figures, now: UnixMillis) -> Self {
        figures
            .gpu(now)
            .map_or_else(|| Self::by_document(&figures.document), |gpu| Self::by_report(figures, gpu, now))
    }

    fn by_report(figures: &Figures, gpu: &figures::Gpu, now: UnixMillis) -> Self {
        let fresh = |read: &Option<Read<u64>>| {
            read.as_ref().filter(|read| figures.is_fresh(read, now)).map(|read| read.value)
        };
        Self {
            name: gpu.name.clone(),
            utilization_ratio: gpu.utilization_ratio,
            vram_total_bytes: gpu.total_bytes,
            vram_used_bytes: gpu.used_bytes,
            comfyui_bytes: fresh(&gpu.own),
            others_bytes: fresh(&gpu.others),
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
        }
    }

    fn by_document(metrics: &NodeMetrics) -> Self {
        Self {
            name: metrics.gpu_name.clone(),
            utilization_ratio: metrics.gpu_utilization.map(|percent| f64::from(percent) / 100.0),
            vram_total_bytes: metrics.gpu_memory_total.map(|mib| mib.saturating_mul(MIB)),
            vram_used_bytes: metrics.gpu_memory_used.map(|mib| mib.saturating_mul(MIB)),
            temperature_celsius: metrics.gpu_temperature.map(f64::from),
            ..Self::default()
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
