//! What is read of a card, by how often: every second, every five, every minute.

use std::collections::BTreeMap;
use std::path::Path;

use report::{Gpu, GpuMemory};

use super::files::{self, Files};
use super::parse;
use super::sensors::Sensors;
use crate::limits::RAS_BLOCKS;
use crate::probe::GpuProcess;
use crate::probe::gpu::tier::{Medium, Slow};

/// The widest link that PCIe knows; the kernel writes more for one that it cannot tell.
const WIDEST_LINK: u32 = 32;

/// What changes from one second to the next: load, memory, heat, power, clocks.
pub(super) fn read_fast(files: &mut Files<'_>, sensors: &Sensors, gpu: &mut Gpu) {
    gpu.utilization_ratio = files.own_number("gpu_busy_percent").map(from_percent);
    gpu.memory_controller_utilization_ratio = files.own_number("mem_busy_percent").map(from_percent);
    read_memory(files, gpu);
    gpu.temperature_celsius =
        files.number(sensors.temperature.as_ref()).map(|millidegrees| millidegrees / 1e3);
    gpu.power_watts = files.number(sensors.power.as_ref()).map(from_millionths);
    let clock = |(domain, path): &(&'static str, _)| Some(((*domain).to_owned(), files.number(Some(path))?));
    gpu.clock_hertz = sensors.clocks.iter().filter_map(clock).collect();
}

/// The kernel's own books, which are read without waking the card. They know of nothing reserved, so that both ways to
/// count are one. An APU has what the firmware set aside for it.
pub(super) fn read_memory(files: &mut Files<'_>, gpu: &mut Gpu) {
    let Some(total) = files.own_number::<u64>("mem_info_vram_total").filter(|total| *total > 0) else {
        return;
    };
    let used = files.own_number::<u64>("mem_info_vram_used");
    let memory = GpuMemory {
        total_bytes: Some(total),
        used_bytes: used,
        free_bytes: used.map(|used| total.saturating_sub(used)),
        reserved_bytes: None,
    };
    gpu.memory_v1 = Some(memory.clone());
    gpu.memory = Some(memory);
}

/// What is read every five seconds. The link is the card's own: where a card carries a PCIe switch, as most for desktops
/// do, that is the link to this switch, and not the slot's.
pub(super) fn read_medium(files: &mut Files<'_>, sensors: &Sensors, processes: Vec<GpuProcess>) -> Medium {
    Medium {
        fan_speed_ratio: fan(files, sensors).map(|ratio| ("0".to_owned(), ratio)).into_iter().collect(),
        pcie_link_generation: files
            .own("current_link_speed")
            .and_then(|speed| parse::link_generation(&speed)),
        pcie_link_width: files
            .own_number("current_link_width")
            .filter(|width| (1..=WIDEST_LINK).contains(width)),
        processes,
        ..Medium::default()
    }
}

fn fan(files: &mut Files<'_>, sensors: &Sensors) -> Option<f64> {
    let turns = sensors.fan.as_ref().and_then(|(speed, highest)| {
        let highest = files.number(Some(highest)).filter(|highest| *highest > 0.0)?;
        Some(files.number(Some(speed))? / highest)
    });
    turns.or_else(|| files.number(sensors.fan_drive.as_ref()).map(|drive| drive / 255.0))
}

/// What is read every minute.
pub(super) fn read_slow(files: &mut Files<'_>, sensors: &Sensors, device: &Path) -> Slow {
    let tables = [("graphics", "pp_dpm_sclk"), ("memory", "pp_dpm_mclk")];
    let highest =
        |(domain, table): (&str, &str)| Some((domain.to_owned(), parse::highest_hertz(&files.own(table)?)?));
    Slow {
        clock_max_hertz: tables.into_iter().filter_map(highest).collect(),
        power_limit_watts: files.number(sensors.power_limit.as_ref()).map(from_millionths),
        ecc_errors: ecc_errors(&device.join("ras")),
        ..Slow::default()
    }
}

/// Summed over the blocks of the chip that count errors (`umc` is memory). The driver counts from when it was loaded.
fn ecc_errors(ras: &Path) -> BTreeMap<String, f64> {
    let entries = std::fs::read_dir(ras).into_iter().flatten().flatten();
    let blocks = entries.filter(|entry| entry.file_name().to_string_lossy().ends_with("_err_count"));
    let counts =
        blocks.take(RAS_BLOCKS).filter_map(|block| parse::error_counts(&files::read(&block.path()).ok()?));
    let sums = counts
        .reduce(|(ue, ce), (more_ue, more_ce)| (ue.saturating_add(more_ue), ce.saturating_add(more_ce)));
    let by_type = sums.map(|(ue, ce)| [("corrected", ce), ("uncorrected", ue)]).into_iter().flatten();
    by_type.map(|(kind, count)| (kind.to_owned(), count as f64)).collect()
}

fn from_percent(percent: u32) -> f64 {
    f64::from(percent) / 100.0
}

fn from_millionths(value: f64) -> f64 {
    value / 1e6
}
