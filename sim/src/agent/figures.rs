//! The figures of a machine and the two documents made of them.

use std::collections::BTreeMap;

use report::{ComfyUi, Cpu, Gpu, GpuMemory, Host as HostReport, Memory, ModelFile, Models, Report};
use serde_json::{Map, Value, json};

use crate::comfy::Rig;

/// What a GPU's memory holds without any model: the context, in bytes.
const CONTEXT_BYTES: u64 = 512 << 20;

const POWER_LIMIT_WATTS: f64 = 320.0;

/// The figures that an agent reports. What is `None` is absent in its documents.
#[derive(Clone, Debug, PartialEq)]
pub struct Figures {
    /// Busy share of all CPUs, 0 to 100.
    pub cpu_percent: Option<f64>,
    /// Memory of the host.
    pub ram_total_bytes: Option<u64>,
    /// Memory in use on the host.
    pub ram_used_bytes: Option<u64>,
    /// The GPU, where there is one.
    pub gpu: Option<GpuFigures>,
    /// Checkpoints on the host and their sizes in bytes; none: it lists no models.
    pub models: BTreeMap<String, u64>,
    /// When ComfyUI's process started, in seconds since 1970; `None`: none is found.
    pub comfyui_started: Option<f64>,
}

/// The figures of one GPU.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuFigures {
    /// Product name.
    pub name: Option<String>,
    /// Identity.
    pub uuid: Option<String>,
    /// Memory of the GPU.
    pub memory_total_bytes: Option<u64>,
    /// Memory in use on it.
    pub memory_used_bytes: Option<u64>,
    /// What of it ComfyUI's process holds.
    pub comfyui_bytes: Option<u64>,
    /// Share of the time in which it worked, percent.
    pub utilization_percent: Option<u32>,
    /// Of the die.
    pub temperature_celsius: Option<u32>,
    /// What it draws.
    pub power_watts: Option<f64>,
    /// Clock of its processors now, and the highest; in Hz.
    pub clock_hertz: Option<(f64, f64)>,
    /// What may hold its clocks down, and whether it does, in NVML's words.
    pub clock_events: BTreeMap<String, bool>,
    /// Errors of its memory that were not corrected.
    pub uncorrected_errors: Option<u32>,
}

impl Default for Figures {
    fn default() -> Self {
        Self {
            cpu_percent: Some(12.5),
            ram_total_bytes: Some(64 << 30),
            ram_used_bytes: Some(16 << 30),
            gpu: None,
            models: BTreeMap::new(),
            comfyui_started: None,
        }
    }
}

impl Figures {
    /// With the process and the GPU of a simulated server: its memory follows the models that are loaded, and what other
    /// programs hold. A server on a CPU has none.
    pub(crate) fn beside(mut self, rig: &Rig) -> Self {
        let state = rig.board.0.borrow();
        self.comfyui_started = state.started_unix_seconds.filter(|_| state.up);
        if rig.config.device_name != "cpu" {
            let own = state.up.then(|| CONTEXT_BYTES + (state.loaded_mb << 20));
            let is_busy = state.running.is_some() && !state.waits_at_gate;
            self.gpu = Some(GpuFigures {
                name: Some(rig.config.device_name.clone()),
                uuid: Some(rig.gpu_uuid.clone()),
                memory_total_bytes: Some(rig.config.vram_bytes),
                memory_used_bytes: Some(own.unwrap_or_default() + (state.others_mb << 20)),
                comfyui_bytes: own,
                utilization_percent: Some(if is_busy { 97 } else { 0 }),
                temperature_celsius: Some(if is_busy { 71 } else { 42 }),
                power_watts: Some(if is_busy { POWER_LIMIT_WATTS } else { 24.0 }),
                clock_hertz: Some((if is_busy { 2.2e9 } else { 0.2e9 }, 2.5e9)),
                clock_events: [("gpu_idle", !is_busy), ("sw_power_cap", is_busy)]
                    .map(|(event, is_active)| (event.to_owned(), is_active))
                    .into(),
                uncorrected_errors: None,
            });
        }
        self
    }

    /// The answer to `GET /orchestrator/metrics`: MiB rounded down, percent, °C.
    pub(crate) fn node_metrics(&self) -> Value {
        let mib = |bytes: Option<u64>| bytes.map(|bytes| json!(bytes >> 20));
        let gpu = self.gpu.clone().unwrap_or_default();
        let entries = [
            ("cpu_utilization", self.cpu_percent.map(|percent| json!(percent))),
            ("ram_total", mib(self.ram_total_bytes)),
            ("ram_used", mib(self.ram_used_bytes)),
            ("gpu_name", gpu.name.map(|name| json!(name))),
            ("gpu_memory_total", mib(gpu.memory_total_bytes)),
            ("gpu_memory_used", mib(gpu.memory_used_bytes)),
            ("gpu_utilization", gpu.utilization_percent.map(|percent| json!(percent))),
            ("gpu_temperature", gpu.temperature_celsius.map(|celsius| json!(celsius))),
        ];
        let known = entries.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?)));
        Value::Object(known.collect::<Map<_, _>>())
    }

    /// The answer to `GET /v1/report`.
    pub(crate) fn report(&self) -> Report {
        let age_seconds = Some(0.25);
        let cpu = Cpu {
            utilization_ratio: self.cpu_percent.map(|percent| percent / 100.0),
            age_seconds,
            ..Cpu::default()
        };
        let available = |total: u64| Some(total.saturating_sub(self.ram_used_bytes?));
        let memory = Memory {
            total_bytes: self.ram_total_bytes,
            used_bytes: self.ram_used_bytes,
            available_bytes: self.ram_total_bytes.and_then(available),
            age_seconds,
            ..Memory::default()
        };
        Report {
            host: HostReport { cpu: Some(cpu), memory: Some(memory), ..HostReport::default() },
            gpus: self.gpu.iter().map(GpuFigures::report).collect(),
            comfyui: Some(self.comfyui()),
            models: (!self.models.is_empty()).then(|| self.models()),
            node_metrics: serde_json::from_value(self.node_metrics()).ok(),
            ..Report::default()
        }
    }

    fn models(&self) -> Models {
        let files = self.models.iter().map(|(name, bytes)| ModelFile {
            folder: "checkpoints".to_owned(),
            name: name.clone(),
            bytes: Some(*bytes),
        });
        Models { files: files.collect(), age_seconds: Some(0.25), ..Models::default() }
    }

    fn comfyui(&self) -> ComfyUi {
        let own = self.gpu.as_ref().and_then(|gpu| gpu.uuid.clone().zip(gpu.comfyui_bytes));
        ComfyUi {
            up: Some(self.comfyui_started.is_some()),
            process_start_time_seconds: self.comfyui_started,
            gpu_memory_bytes: BTreeMap::from_iter(own),
            age_seconds: Some(0.25),
            ..ComfyUi::default()
        }
    }
}

impl GpuFigures {
    fn report(&self) -> Gpu {
        let free = |total: u64| Some(total.saturating_sub(self.memory_used_bytes?));
        let memory = GpuMemory {
            total_bytes: self.memory_total_bytes,
            used_bytes: self.memory_used_bytes,
            free_bytes: self.memory_total_bytes.and_then(free),
            ..GpuMemory::default()
        };
        Gpu {
            uuid: self.uuid.clone(),
            index: Some(0),
            name: self.name.clone(),
            chosen: Some(true),
            up: Some(true),
            utilization_ratio: self.utilization_percent.map(|percent| f64::from(percent) / 100.0),
            memory: Some(memory.clone()),
            memory_v1: Some(GpuMemory { reserved_bytes: None, ..memory }),
            temperature_celsius: self.temperature_celsius.map(f64::from),
            power_watts: self.power_watts,
            power_limit_watts: self.power_watts.map(|_| POWER_LIMIT_WATTS),
            clock_hertz: graphics(self.clock_hertz.map(|(now, _)| now)),
            clock_max_hertz: graphics(self.clock_hertz.map(|(_, highest)| highest)),
            clock_event_active: self.clock_events.clone(),
            ecc_errors_total: self
                .uncorrected_errors
                .map(|errors| ("uncorrected".to_owned(), f64::from(errors)))
                .into_iter()
                .collect(),
            age_seconds: Some(0.25),
            ..Gpu::default()
        }
    }
}

fn graphics(hertz: Option<f64>) -> BTreeMap<String, f64> {
    hertz.map(|hertz| ("graphics".to_owned(), hertz)).into_iter().collect()
}
