//! The names under which NVIDIA's dcgm-exporter tells what its dashboard (Grafana 12239) reads, with its labels and units.
//! Served on demand only: Prometheus' linter finds fault with names in capitals.

use report::{Gpu, Report};

use super::gpu::{Figure, chosen};
use super::page::{Labels, Page};

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Name, help, and the figure in DCGM's unit.
const FAMILIES: [Figure; 6] = [
    ("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", |gpu| gpu.temperature_celsius),
    ("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", |gpu| gpu.power_watts),
    ("DCGM_FI_DEV_SM_CLOCK", "SM clock frequency (in MHz).", |gpu| Some(gpu.clock_hertz.get("sm")? / 1e6)),
    ("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", |gpu| {
        gpu.utilization_ratio.map(|ratio| ratio * 100.0)
    }),
    ("DCGM_FI_DEV_FB_USED", "Framebuffer memory used (in MiB).", |gpu| {
        gpu.memory.as_ref()?.used_bytes.map(|bytes| (bytes as f64 / MEBIBYTE).floor())
    }),
    ("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Ratio of cycles the tensor pipe is active.", |gpu| {
        gpu.tensor_active_ratio
    }),
];

pub(super) fn write(page: &mut Page, report: &Report) {
    let gpus: Vec<(Vec<(&'static str, String)>, &Gpu)> =
        chosen(report).map(|(uuid, gpu)| (identity(uuid, gpu, report), gpu)).collect();
    for (name, help, figure) in FAMILIES {
        let series = gpus.iter().filter_map(|(labels, gpu)| Some((borrowed(labels), figure(gpu)?)));
        page.gauges(name, help, series);
    }
}

fn identity(uuid: &str, gpu: &Gpu, report: &Report) -> Vec<(&'static str, String)> {
    let told = [
        ("gpu", gpu.index.map(|index| index.to_string())),
        ("UUID", Some(uuid.to_owned())),
        ("modelName", gpu.name.clone()),
        ("hostname", report.host.name.clone()),
    ];
    told.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn borrowed<'a>(labels: &'a [(&'static str, String)]) -> Labels<'a> {
    labels.iter().map(|(name, value)| (*name, value.as_str())).collect()
}
