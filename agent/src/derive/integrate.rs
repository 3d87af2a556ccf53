//! Figures that need two readings: CPU utilization over the time between them, and GPU busy seconds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use report::{Cpu, Gpu};

use crate::limits::INTEGRATED_GAP;
use crate::probe::{Gpus, Reading};

/// The reading with what follows from it and the one before.
pub(super) fn integrated(previous: Option<(&Reading, Instant)>, current: Reading, began: Instant) -> Reading {
    match (previous, current) {
        (Some((Reading::Cpu(before), _)), Reading::Cpu(cpu)) => {
            let utilization_ratio = utilization_ratio(&before.seconds_total, &cpu.seconds_total);
            Reading::Cpu(Cpu { utilization_ratio, ..cpu })
        }
        (Some((Reading::Gpus(before), at)), Reading::Gpus(gpus)) => {
            Reading::Gpus(with_busy_seconds(Some(before), gpus, began.saturating_duration_since(at)))
        }
        (None, Reading::Gpus(gpus)) => Reading::Gpus(with_busy_seconds(None, gpus, Duration::ZERO)),
        (_, current) => current,
    }
}

/// psutil's `cpu_percent`: of the time between two readings, the share in which processors neither idled nor
/// waited for input and output. Counters that fall (the kernel corrects `iowait` so) count as standing still.
fn utilization_ratio(before: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>) -> Option<f64> {
    let passed = |mode: &str| match (before.get(mode), after.get(mode)) {
        (Some(before), Some(after)) => (after - before).max(0.0),
        _ => 0.0,
    };
    let all: f64 = after.keys().map(|mode| passed(mode)).sum();
    let idle = passed("idle") + passed("iowait");
    (all > 0.0).then(|| ((all - idle) / all).clamp(0.0, 1.0))
}

/// Adds the busy part of the time since the last reading. A GPU's total outlives readings in which it is lost.
fn with_busy_seconds(before: Option<&Gpus>, mut gpus: Gpus, elapsed: Duration) -> Gpus {
    for gpu in &mut gpus.gpus {
        let earlier = before.and_then(|before| before.gpus.iter().find(|other| other.uuid == gpu.uuid));
        gpu.busy_seconds_total = busy_seconds(earlier, gpu, elapsed);
    }
    gpus
}

/// Takes the mean of the two utilizations for the time between them; after a gap too long for that, nothing.
fn busy_seconds(earlier: Option<&Gpu>, now: &Gpu, elapsed: Duration) -> Option<f64> {
    let total = earlier.and_then(|earlier| earlier.busy_seconds_total);
    let both = (earlier.and_then(|earlier| earlier.utilization_ratio), now.utilization_ratio);
    match both {
        (Some(before), Some(after)) if elapsed <= INTEGRATED_GAP => {
            Some(total.unwrap_or(0.0) + (before + after) / 2.0 * elapsed.as_secs_f64())
        }
        (_, Some(_)) => Some(total.unwrap_or(0.0)),
        (_, None) => total,
    }
}
