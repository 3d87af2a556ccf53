//! Figures that need two readings: CPU utilization over the time between them, what GPUs have come to over the agent's
//! life, and ComfyUI's restarts.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use report::Cpu;

use super::totals;
use crate::limits::CPU_CORRECTION_SECONDS;
use crate::probe::{ComfyUiReading, Reading};

/// The reading with what follows from it and the one before.
pub(super) fn integrated(previous: Option<(&Reading, Instant)>, current: Reading, began: Instant) -> Reading {
    let elapsed = previous.map_or(Duration::ZERO, |(_, at)| began.saturating_duration_since(at));
    match (previous.map(|(reading, _)| reading), current) {
        (Some(Reading::Cpu(before)), Reading::Cpu(cpu)) => Reading::Cpu(with_utilization(before, cpu)),
        (before, Reading::Gpus(gpus)) => {
            Reading::Gpus(totals::advance(before.map_or(&[], Reading::gpus), gpus, elapsed))
        }
        (before, Reading::ComfyUi(comfyui)) => {
            let before = match before {
                Some(Reading::ComfyUi(before)) => Some(before),
                _ => None,
            };
            Reading::ComfyUi(with_restarts(before, comfyui))
        }
        (_, current) => current,
    }
}

fn with_utilization(before: &Cpu, mut cpu: Cpu) -> Cpu {
    for (mode, seconds) in &mut cpu.seconds_total {
        *seconds = before.seconds_total.get(mode).map_or(*seconds, |before| steady(*before, *seconds));
    }
    cpu.utilization_ratio = utilization_ratio(&before.seconds_total, &cpu.seconds_total);
    cpu
}

/// The kernel corrects `idle` and `iowait` downwards a little, which to whoever takes a counter's rate would look like
/// a burst: they stand still meanwhile. Where much is gone, so is a processor.
fn steady(before: f64, after: f64) -> f64 {
    if before - after < CPU_CORRECTION_SECONDS { after.max(before) } else { after }
}

/// psutil's `cpu_percent`: of the time between two readings, the share in which processors neither idled nor
/// waited for input and output. Counters that fall count as standing still.
fn utilization_ratio(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> Option<f64> {
    let passed = |mode: &str| match (before.get(mode), after.get(mode)) {
        (Some(before), Some(after)) => (after - before).max(0.0),
        _ => 0.0,
    };
    let all: f64 = after.keys().map(|mode| passed(mode)).sum();
    let idle = passed("idle") + passed("iowait");
    (all > 0.0).then(|| ((all - idle) / all).clamp(0.0, 1.0))
}

/// Counts another main process than the one before. The clock of start times steps with the host's; a second is
/// more than it is corrected by between two readings, and less than a restart takes.
fn with_restarts(before: Option<&ComfyUiReading>, mut now: ComfyUiReading) -> ComfyUiReading {
    let last = before.and_then(|before| before.last_start_time_seconds);
    let started = now.comfyui.process_start_time_seconds;
    let counted = before.and_then(|before| before.comfyui.restarts_total);
    let again = matches!((last, started), (Some(last), Some(started)) if (started - last).abs() > 1.0);
    // Before any process was seen there is nothing to count from.
    now.comfyui.restarts_total = started.or(last).map(|_| counted.unwrap_or(0) + u64::from(again));
    now.last_start_time_seconds = started.or(last);
    now
}
