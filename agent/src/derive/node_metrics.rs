//! The JSON of `/orchestrator/metrics`, in the units of the Python node. Read straight from the sample: this document is
//! asked for most.

use std::time::Instant;

use report::{Gpu, Memory, NodeMetrics};

use super::{gpus, valid};
use crate::config::RamUsed;
use crate::probe::Reading;
use crate::sample::Sample;

const MEBIBYTE: u64 = 1024 * 1024;

/// The host, and the first GPU that was chosen.
pub(crate) fn node_metrics(sample: &Sample, now: Instant, ram_used: RamUsed) -> NodeMetrics {
    let readings = || sample.records.iter().filter_map(|record| Some(valid(record, now)?.0));
    let memory = readings().find_map(Reading::memory);
    let host = NodeMetrics {
        cpu_utilization: readings().find_map(Reading::cpu_utilization_ratio).map(percent_with_one_decimal),
        ram_total: mebibytes(memory.and_then(|memory| memory.total_bytes)),
        ram_used: mebibytes(memory.and_then(|memory| ram_used_bytes(memory, ram_used))),
        ..NodeMetrics::default()
    };
    let chosen = readings().flat_map(Reading::gpus).find(|reading| sample.selection.holds(&reading.gpu));
    match chosen.map(|reading| &reading.gpu) {
        Some(gpu) if gpu.up == Some(true) => with_gpu(host, gpu, memory),
        _ => host,
    }
}

fn with_gpu(host: NodeMetrics, gpu: &Gpu, host_memory: Option<&Memory>) -> NodeMetrics {
    let unified = host_memory.filter(|_| gpu.memory_unified == Some(true)).map(gpus::host_memory);
    let memory = unified.as_ref().or(gpu.memory_v1.as_ref());
    NodeMetrics {
        gpu_name: gpu.name.clone(),
        gpu_memory_total: mebibytes(memory.and_then(|memory| memory.total_bytes)),
        gpu_memory_used: mebibytes(memory.and_then(|memory| memory.used_bytes)),
        gpu_utilization: gpu.utilization_ratio.map(|ratio| (ratio * 100.0).round() as u32),
        gpu_temperature: gpu.temperature_celsius.map(|celsius| celsius as u32),
        ..host
    }
}

/// psutil 7.1 changed what it calls used. Before, buffers and caches were taken off what is not free; and where
/// that falls below zero, as in some containers, nothing was taken off.
fn ram_used_bytes(memory: &Memory, rule: RamUsed) -> Option<u64> {
    match rule {
        RamUsed::Psutil7 => memory.used_bytes,
        RamUsed::Psutil5 => {
            let not_free = memory.total_bytes?.checked_sub(memory.free_bytes?)?;
            Some(not_free.checked_sub(memory.cached_bytes?).unwrap_or(not_free))
        }
    }
}

fn mebibytes(bytes: Option<u64>) -> Option<u64> {
    bytes.map(|bytes| bytes / MEBIBYTE)
}

fn percent_with_one_decimal(ratio: f64) -> f64 {
    (ratio * 1000.0).round() / 10.0
}
