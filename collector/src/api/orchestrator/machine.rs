//! What the fleet's lists show of a backend's machine: the agent's figures, each with its age, and none that is stale.

use report::ModelFile;
use serde::Serialize;
use utoipa::ToSchema;

use crate::clock::UnixMillis;
use crate::fleet::condition::Condition;
use crate::fleet::figures::{self, Figures};
use crate::fleet::{Backend, Read};

/// The machine of a backend by its agent. What is not known, or no longer, is absent.
#[derive(Serialize, ToSchema)]
pub(super) struct Machine {
    /// The GPUs of its ComfyUI: the one that it works on first.
    gpus: Vec<Gpu>,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<Host>,
    #[serde(skip_serializing_if = "Option::is_none")]
    comfyui: Option<Process>,
    /// How many model files the machine has, and their bytes; only where the agent was asked to list them.
    #[serde(skip_serializing_if = "Option::is_none")]
    model_files: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model_bytes: Option<u64>,
}

/// One GPU. Memory is without what the driver keeps for itself, where that can be told.
#[derive(Serialize, ToSchema)]
struct Gpu {
    #[serde(skip_serializing_if = "Option::is_none")]
    uuid: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_used_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_free_bytes: Option<u64>,
    /// What ComfyUI's processes hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    comfyui_bytes: Option<Aged>,
    /// What all others hold.
    #[serde(skip_serializing_if = "Option::is_none")]
    others_bytes: Option<Aged>,
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    utilization_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature_celsius: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    power_watts: Option<f64>,
    #[serde(flatten)]
    condition: Condition,
    /// Of all these but those with an age of their own.
    age_seconds: f64,
}

/// A figure that is read more seldom than the others.
#[derive(Serialize, ToSchema)]
struct Aged {
    bytes: u64,
    age_seconds: f64,
}

/// The whole machine.
#[derive(Serialize, ToSchema)]
struct Host {
    /// 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    cpu_utilization_ratio: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ram_total_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ram_available_bytes: Option<u64>,
    age_seconds: f64,
}

/// ComfyUI's process.
#[derive(Serialize, ToSchema)]
#[schema(as = ComfyUiProcess)]
struct Process {
    /// In seconds since 1970, by the machine's own clock.
    start_time_seconds: f64,
    /// Of main memory.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory_bytes: Option<u64>,
    age_seconds: f64,
}

impl Machine {
    /// `None` while its agent does not answer.
    pub(super) fn of(backend: &Backend, now: UnixMillis) -> Option<Self> {
        let figures = &backend.agent.as_ref()?.value;
        let gpus = figures.gpus.iter().filter(|gpu| gpu.is_fresh(figures.fresh_for, now));
        let models = figures.models.as_deref();
        Some(Self {
            gpus: gpus.map(|gpu| Gpu::of(figures, gpu, now)).collect(),
            host: Host::of(figures, now),
            comfyui: fresh(figures, figures.comfyui.as_ref(), now).map(|read| Process {
                start_time_seconds: read.value.start_time_seconds,
                memory_bytes: read.value.memory_bytes,
                age_seconds: age(read.at, now),
            }),
            model_files: models.map(<[ModelFile]>::len),
            model_bytes: models.map(|files| files.iter().filter_map(|file| file.bytes).sum()),
        })
    }
}

impl Gpu {
    fn of(figures: &Figures, gpu: &figures::Gpu, now: UnixMillis) -> Self {
        let aged = |read: &Option<Read<u64>>| {
            let read = fresh(figures, read.as_ref(), now)?;
            Some(Aged { bytes: read.value, age_seconds: age(read.at, now) })
        };
        Self {
            uuid: gpu.uuid.clone(),
            name: gpu.name.clone(),
            vram_total_bytes: gpu.total_bytes,
            vram_used_bytes: gpu.used_bytes,
            vram_free_bytes: gpu.free_bytes,
            comfyui_bytes: aged(&gpu.own),
            others_bytes: aged(&gpu.others),
            utilization_ratio: gpu.utilization_ratio,
            temperature_celsius: gpu.temperature_celsius,
            power_watts: gpu.power_watts,
            condition: gpu.condition.clone(),
            age_seconds: age(gpu.at, now),
        }
    }
}

impl Host {
    fn of(figures: &Figures, now: UnixMillis) -> Option<Self> {
        let cpu = fresh(figures, figures.host.cpu_utilization_ratio.as_ref(), now);
        let memory = fresh(figures, figures.host.memory.as_ref(), now);
        let oldest = cpu.map(|read| read.at).into_iter().chain(memory.map(|read| read.at)).min()?;
        Some(Self {
            cpu_utilization_ratio: cpu.map(|read| read.value),
            ram_total_bytes: memory.map(|read| read.value.total_bytes),
            ram_available_bytes: memory.map(|read| read.value.available_bytes),
            age_seconds: age(oldest, now),
        })
    }
}

fn fresh<'a, T>(figures: &Figures, read: Option<&'a Read<T>>, now: UnixMillis) -> Option<&'a Read<T>> {
    read.filter(|read| figures.is_fresh(read, now))
}

fn age(at: UnixMillis, now: UnixMillis) -> f64 {
    (now - at).as_secs_f64()
}
