//! The GPUs that the agent speaks for. Identity stands on `orchestrator_gpu_info` alone; all else is keyed by `uuid`.

use std::collections::BTreeMap;

use report::{Gpu, GpuDriver, Report};

use super::page::{Labels, Page, truth, whole};

/// A family with one series a GPU: name, help and value.
pub(super) type Figure = (&'static str, &'static str, fn(&Gpu) -> Option<f64>);

const GAUGES: [Figure; 18] = [
    (
        "orchestrator_gpu_up",
        "Whether the driver still reaches the GPU; where it does not, its other figures are absent.",
        |gpu| truth(gpu.up),
    ),
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
        whole(gpu.memory.as_ref()?.total_bytes)
    }),
    (
        "orchestrator_gpu_memory_used_bytes",
        "GPU memory that programs have allocated, without what the driver reserves.",
        |gpu| whole(gpu.memory.as_ref()?.used_bytes),
    ),
    ("orchestrator_gpu_memory_free_bytes", "GPU memory that is free.", |gpu| {
        whole(gpu.memory.as_ref()?.free_bytes)
    }),
    ("orchestrator_gpu_memory_reserved_bytes", "GPU memory that the driver keeps for itself.", |gpu| {
        whole(gpu.memory.as_ref()?.reserved_bytes)
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
    (
        "orchestrator_gpu_row_remap_pending",
        "Whether memory rows wait for a reset of the GPU to be remapped.",
        |gpu| truth(gpu.row_remap_pending),
    ),
    (
        "orchestrator_gpu_mig_mode",
        "Whether the GPU is divided into MIG devices; `--gpu all` has these as GPUs of their own.",
        |gpu| truth(gpu.mig_mode),
    ),
    (
        "orchestrator_gpu_memory_unified",
        "Whether the GPU works in the host's memory (GB10, Jetson), whose figures its memory's are then; absent \
         elsewhere.",
        |gpu| truth(gpu.memory_unified),
    ),
];

const COUNTERS: [Figure; 2] = [
    (
        "orchestrator_gpu_busy_seconds_total",
        "Utilization, read every second, integrated over the agent's life: its rate does not alias.",
        |gpu| gpu.busy_seconds_total,
    ),
    (
        "orchestrator_gpu_energy_joules_total",
        "Energy used since the driver was loaded; goes on where it was when the driver is loaded again.",
        |gpu| gpu.energy_joules_total,
    ),
];

/// A family with several series a GPU: name, help, the label that tells them apart, and their values.
type Breakdown = (&'static str, &'static str, &'static str, fn(&Gpu) -> Vec<(String, f64)>);

const GAUGE_BREAKDOWNS: [Breakdown; 6] = [
    ("orchestrator_gpu_clock_hertz", "Present clock: `graphics`, `sm`, `memory`, `video`.", "clock", |gpu| {
        each(&gpu.clock_hertz, |v| *v)
    }),
    ("orchestrator_gpu_clock_max_hertz", "Highest clock by domain.", "clock", |gpu| {
        each(&gpu.clock_max_hertz, |v| *v)
    }),
    ("orchestrator_gpu_fan_speed_ratio", "Intended speed of the fan; may exceed 1.", "fan", |gpu| {
        each(&gpu.fan_speed_ratio, |v| *v)
    }),
    (
        "orchestrator_gpu_clock_event_active",
        "Whether this holds the clocks down now: `sw_power_cap`, `hw_slowdown`, `sw_thermal_slowdown`, \
         `hw_thermal_slowdown`, `hw_power_brake_slowdown`, `applications_clocks_setting`, \
         `display_clock_setting`, `sync_boost`, `gpu_idle`.",
        "reason",
        |gpu| each(&gpu.clock_event_active, |active| f64::from(u8::from(*active))),
    ),
    (
        "orchestrator_gpu_remapped_rows",
        "Rows of memory that spare ones replace, by cause: `correctable`, `uncorrectable`.",
        "cause",
        |gpu| each(&gpu.remapped_rows, |rows| f64::from(*rows)),
    ),
    (
        "orchestrator_gpu_xid_last_timestamp_seconds",
        "When this XID error last came, in seconds since the Unix epoch.",
        "xid",
        |gpu| each(&gpu.xid_last_timestamp_seconds, |v| *v),
    ),
];

const COUNTER_BREAKDOWNS: [Breakdown; 3] = [
    (
        "orchestrator_gpu_clock_event_seconds_total",
        "How long this has held the clocks down over the agent's life, read every second.",
        "reason",
        |gpu| each(&gpu.clock_event_seconds_total, |v| *v),
    ),
    (
        "orchestrator_gpu_ecc_errors_total",
        "Memory errors over the GPU's life: `corrected`, `uncorrected`.",
        "type",
        |gpu| each(&gpu.ecc_errors_total, |v| *v),
    ),
    (
        "orchestrator_gpu_xid_errors_total",
        "XID errors of the driver since the agent's start; they stay when the GPU is lost. At most 1024 a second \
         are taken up.",
        "xid",
        |gpu| each(&gpu.xid_errors_total, |errors| *errors as f64),
    ),
];

pub(super) fn write(page: &mut Page, report: &Report) {
    let gpus: Vec<(&str, &Gpu)> = chosen(report).collect();
    info(page, &gpus, report.gpu_driver.as_ref());
    for (name, help, figure) in GAUGES {
        page.gauges(name, help, figures(&gpus, figure));
    }
    for (name, help, figure) in COUNTERS {
        page.counters(name, help, figures(&gpus, figure));
    }
    for (name, help, label, figures) in GAUGE_BREAKDOWNS {
        page.gauges(name, help, series(label, &broken_down(&gpus, figures)));
    }
    for (name, help, label, figures) in COUNTER_BREAKDOWNS {
        page.counters(name, help, series(label, &broken_down(&gpus, figures)));
    }
}

/// The GPUs that the agent speaks for and that can be told apart.
pub(super) fn chosen(report: &Report) -> impl Iterator<Item = (&str, &Gpu)> {
    let chosen = report.gpus.iter().filter(|gpu| gpu.chosen == Some(true));
    chosen.filter_map(|gpu| Some((gpu.uuid.as_deref()?, gpu)))
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

/// UUID, key and value of each series.
fn broken_down<'a>(
    gpus: &[(&'a str, &Gpu)],
    figures: fn(&Gpu) -> Vec<(String, f64)>,
) -> Vec<(&'a str, String, f64)> {
    let of = |(uuid, gpu): &(&'a str, &Gpu)| {
        let uuid = *uuid;
        figures(gpu).into_iter().map(move |(key, value)| (uuid, key, value))
    };
    gpus.iter().flat_map(of).collect()
}

fn series<'a>(
    label: &'static str,
    values: &'a [(&'a str, String, f64)],
) -> impl Iterator<Item = (Labels<'a>, f64)> {
    values.iter().map(move |(uuid, key, value)| (vec![("uuid", *uuid), (label, key.as_str())], *value))
}

fn each<K: ToString, V>(values: &BTreeMap<K, V>, figure: impl Fn(&V) -> f64) -> Vec<(String, f64)> {
    values.iter().map(|(key, value)| (key.to_string(), figure(value))).collect()
}
