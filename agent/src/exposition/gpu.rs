//! The GPUs that the agent speaks for. Identity stands on `orchestrator_gpu_info` alone; all else is keyed by `uuid`.

use std::collections::BTreeMap;

use report::{Gpu, GpuDriver, Report};

use super::page::{Labels, Page};

/// A family with one series a GPU.
type Figure = (&'static str, &'static str, fn(&Gpu) -> Option<f64>);

const GAUGES: [Figure; 15] = [
    ("orchestrator_gpu_up", "Whether the driver still reaches the GPU.", |gpu| {
        gpu.up.map(|up| f64::from(u8::from(up)))
    }),
    (
        "orchestrator_gpu_utilization_ratio",
        "Share of the driver's last sampling period in which a kernel ran.",
        |gpu| gpu.utilization_ratio,
    ),
    (
        "orchestrator_gpu_memory_controller_utilization_ratio",
        "Share of the driver's last sampling period in which memory was read or written.",
        |gpu| gpu.memory_controller_utilization_ratio,
    ),
    ("orchestrator_gpu_encoder_utilization_ratio", "Utilization of the video encoder.", |gpu| {
        gpu.encoder_utilization_ratio
    }),
    ("orchestrator_gpu_decoder_utilization_ratio", "Utilization of the video decoder.", |gpu| {
        gpu.decoder_utilization_ratio
    }),
    ("orchestrator_gpu_memory_total_bytes", "Memory of the GPU.", |gpu| {
        bytes(gpu.memory.as_ref()?.total_bytes)
    }),
    (
        "orchestrator_gpu_memory_used_bytes",
        "GPU memory that programs have allocated, without what the driver reserves.",
        |gpu| bytes(gpu.memory.as_ref()?.used_bytes),
    ),
    ("orchestrator_gpu_memory_free_bytes", "GPU memory that is free.", |gpu| {
        bytes(gpu.memory.as_ref()?.free_bytes)
    }),
    ("orchestrator_gpu_memory_reserved_bytes", "GPU memory that the driver keeps for itself.", |gpu| {
        bytes(gpu.memory.as_ref()?.reserved_bytes)
    }),
    ("orchestrator_gpu_temperature_celsius", "Temperature of the GPU's die.", |gpu| gpu.temperature_celsius),
    ("orchestrator_gpu_power_watts", "Power that the GPU draws.", |gpu| gpu.power_watts),
    ("orchestrator_gpu_power_limit_watts", "Power that the GPU may draw.", |gpu| gpu.power_limit_watts),
    ("orchestrator_gpu_performance_state", "Performance state, 0 (fastest) to 15 (slowest).", |gpu| {
        gpu.performance_state.map(f64::from)
    }),
    ("orchestrator_gpu_pcie_link_generation", "Present generation of the PCIe link.", |gpu| {
        gpu.pcie_link_generation.map(f64::from)
    }),
    ("orchestrator_gpu_pcie_link_width", "Present number of lanes of the PCIe link.", |gpu| {
        gpu.pcie_link_width.map(f64::from)
    }),
];

const COUNTERS: [Figure; 2] = [
    ("orchestrator_gpu_busy_seconds_total", "Utilization integrated over the agent's life.", |gpu| {
        gpu.busy_seconds_total
    }),
    ("orchestrator_gpu_energy_joules_total", "Energy used since the driver was loaded.", |gpu| {
        gpu.energy_joules_total
    }),
];

/// A family with several series a GPU: name, help, the label that tells them apart, and their values.
type Breakdown = (&'static str, &'static str, &'static str, fn(&Gpu) -> &BTreeMap<String, f64>);

const BREAKDOWNS: [Breakdown; 3] = [
    ("orchestrator_gpu_clock_hertz", "Present clock by domain.", "clock", |gpu| &gpu.clock_hertz),
    ("orchestrator_gpu_clock_max_hertz", "Highest clock by domain.", "clock", |gpu| &gpu.clock_max_hertz),
    ("orchestrator_gpu_fan_speed_ratio", "Intended speed of the fan.", "fan", |gpu| &gpu.fan_speed_ratio),
];

pub(super) fn write(page: &mut Page, report: &Report) {
    let gpus: Vec<(&str, &Gpu)> = report
        .gpus
        .iter()
        .filter(|gpu| gpu.chosen == Some(true))
        .filter_map(|gpu| Some((gpu.uuid.as_deref()?, gpu)))
        .collect();
    info(page, &gpus, report.gpu_driver.as_ref());
    for (name, help, figure) in GAUGES {
        page.gauges(name, help, figures(&gpus, figure));
    }
    for (name, help, figure) in COUNTERS {
        page.counters(name, help, figures(&gpus, figure));
    }
    for (name, help, label, figures) in BREAKDOWNS {
        page.gauges(name, help, gpus.iter().flat_map(|(uuid, gpu)| breakdown(uuid, label, figures(gpu))));
    }
}

fn info(page: &mut Page, gpus: &[(&str, &Gpu)], driver: Option<&GpuDriver>) {
    let indices: Vec<Option<String>> = gpus.iter().map(|(_, gpu)| gpu.index.map(|i| i.to_string())).collect();
    let series =
        gpus.iter().zip(&indices).map(|((_, gpu), index)| (identity(gpu, index.as_deref(), driver), 1.0));
    page.gauges("orchestrator_gpu_info", "Identity of the GPU and its driver; always 1.", series);
}

fn identity<'a>(gpu: &'a Gpu, index: Option<&'a str>, driver: Option<&'a GpuDriver>) -> Labels<'a> {
    let told = [
        ("uuid", gpu.uuid.as_deref()),
        ("index", index),
        ("name", gpu.name.as_deref()),
        ("pci_bus_id", gpu.pci_bus_id.as_deref()),
        ("driver_version", driver.and_then(|driver| driver.driver_version.as_deref())),
        ("nvml_version", driver.and_then(|driver| driver.nvml_version.as_deref())),
        ("cuda_version", driver.and_then(|driver| driver.cuda_version.as_deref())),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn figures<'a>(
    gpus: &'a [(&'a str, &'a Gpu)],
    figure: fn(&Gpu) -> Option<f64>,
) -> impl Iterator<Item = (Labels<'a>, f64)> {
    gpus.iter().filter_map(move |(uuid, gpu)| Some((vec![("uuid", *uuid)], figure(gpu)?)))
}

fn breakdown<'a>(
    uuid: &'a str,
    label: &'static str,
    figures: &'a BTreeMap<String, f64>,
) -> impl Iterator<Item = (Labels<'a>, f64)> {
    figures.iter().map(move |(key, value)| (vec![("uuid", uuid), (label, key.as_str())], *value))
}

fn bytes(bytes: Option<u64>) -> Option<f64> {
    bytes.map(|bytes| bytes as f64)
}
