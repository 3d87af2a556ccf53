//! The GPUs' place in the report: what was read of them, which of them are the agent's, what ComfyUI has on them, and the
//! host's memory for those that have none of their own.

use std::time::Instant;

use report::{Gpu, GpuMemory, Memory, Report};

use super::{age_seconds, valid};
use crate::probe::{GpuReading, Gpus, Reading};
use crate::sample::Sample;

pub(super) fn place(report: &mut Report, sample: &Sample, now: Instant) {
    let readings = sample.records.iter().filter_map(|record| valid(record, now));
    for (reading, began) in readings {
        if let Reading::Gpus(gpus) = reading {
            place_maker(report, gpus, sample, age_seconds(began, now), now);
        }
    }
    let comfyui = sample.records.iter().filter_map(|record| valid(record, now));
    if let Some(pids) = comfyui.map(|(reading, _)| reading.comfyui_pids()).find(|pids| !pids.is_empty()) {
        place_use(report, sample, pids, now);
    }
}

fn place_maker(report: &mut Report, gpus: &Gpus, sample: &Sample, age_seconds: Option<f64>, now: Instant) {
    report.gpu_driver = report.gpu_driver.take().or_else(|| gpus.driver.clone());
    for reading in &gpus.gpus {
        let mut gpu =
            Gpu { age_seconds, chosen: Some(sample.selection.holds(&reading.gpu)), ..reading.gpu.clone() };
        gpu.tier_age_seconds = tier_ages(reading, now);
        if let Some(memory) = report.host.memory.as_ref().filter(|_| gpu.memory_unified == Some(true)) {
            gpu.memory = Some(host_memory(memory));
            gpu.memory_v1.clone_from(&gpu.memory);
        }
        report.gpus.push(gpu);
    }
}

fn tier_ages(reading: &GpuReading, now: Instant) -> std::collections::BTreeMap<String, f64> {
    let ages = reading.tiers.iter().map(|(tier, at)| Some(((*tier).to_owned(), age_seconds(*at, now)?)));
    ages.flatten().collect()
}

/// The memory of a GPU that works in the host's. Nothing is reserved.
pub(super) fn host_memory(memory: &Memory) -> GpuMemory {
    GpuMemory {
        total_bytes: memory.total_bytes,
        used_bytes: memory.used_bytes,
        free_bytes: memory.available_bytes,
        reserved_bytes: None,
    }
}

/// What ComfyUI's processes have on each GPU; on one where they have something of unknown size, that is unknown.
fn place_use(report: &mut Report, sample: &Sample, pids: &[u32], now: Instant) {
    let Some(comfyui) = &mut report.comfyui else { return };
    let readings = sample.records.iter().filter_map(|record| valid(record, now));
    for reading in readings.flat_map(|(reading, _)| reading.gpus()) {
        let own = reading.processes.iter().filter(|process| pids.contains(&process.pid));
        let used: Option<Vec<u64>> = own.map(|process| process.used_bytes).collect();
        let used = used.filter(|used| !used.is_empty());
        if let (Some(used), Some(uuid)) = (used, &reading.gpu.uuid) {
            comfyui.gpu_memory_bytes.insert(uuid.clone(), used.into_iter().fold(0, u64::saturating_add));
        }
    }
}
