//! What GPUs have come to over the agent's life. It outlives readings in which a GPU is lost and sessions with the driver:
//! a counter that falls would look like a burst to whoever takes its rate.

use std::time::Duration;

use report::Gpu;

use crate::limits::{INTEGRATED_GAP, XID_NUMBERS};
use crate::probe::{GpuReading, Gpus, Monotone, Totals, Xid};

/// The readings with their totals, which go on from those of the same GPUs before.
pub(super) fn advance(before: &[GpuReading], mut gpus: Gpus, elapsed: Duration) -> Gpus {
    for reading in &mut gpus.gpus {
        let uuid = reading.gpu.uuid.as_ref();
        let earlier = before.iter().find(|other| uuid.is_some() && other.gpu.uuid.as_ref() == uuid);
        reading.totals = totals(earlier, reading, elapsed);
        tell(reading);
    }
    gpus
}

fn totals(earlier: Option<&GpuReading>, now: &GpuReading, elapsed: Duration) -> Totals {
    let mut totals = earlier.map(|earlier| earlier.totals.clone()).unwrap_or_default();
    let before = earlier.map(|earlier| &earlier.gpu);
    totals.busy_seconds = busy_seconds(totals.busy_seconds, before, &now.gpu, elapsed);
    add_clock_events(&mut totals, before, &now.gpu, elapsed);
    for (name, raw) in counters(&now.gpu) {
        let counter = totals.counters.entry(name).or_insert(Monotone { raw, total: raw });
        *counter = counter.after(raw);
    }
    for xid in &now.xids {
        add_xid(&mut totals, *xid);
    }
    totals
}

/// Takes the mean of the two utilizations for the time between them; after a gap too long for that, nothing.
fn busy_seconds(total: Option<f64>, before: Option<&Gpu>, now: &Gpu, elapsed: Duration) -> Option<f64> {
    let ratios = (before.and_then(|before| before.utilization_ratio), now.utilization_ratio);
    match ratios {
        (Some(before), Some(after)) if elapsed <= INTEGRATED_GAP => {
            Some(total.unwrap_or(0.0) + (before + after) / 2.0 * elapsed.as_secs_f64())
        }
        (_, Some(_)) => Some(total.unwrap_or(0.0)),
        (_, None) => total,
    }
}

/// A reason that is active now counts as active since the last reading, unless that is long ago.
fn add_clock_events(totals: &mut Totals, before: Option<&Gpu>, now: &Gpu, elapsed: Duration) {
    let known =
        before.is_some_and(|before| !before.clock_event_active.is_empty()) && elapsed <= INTEGRATED_GAP;
    for (reason, active) in &now.clock_event_active {
        let seconds = totals.clock_event_seconds.entry(reason.clone()).or_default();
        *seconds += if known && *active { elapsed.as_secs_f64() } else { 0.0 };
    }
}

/// The driver's own counters, by a name of our own.
fn counters(gpu: &Gpu) -> impl Iterator<Item = (String, f64)> {
    let energy = gpu.energy_joules_total.map(|joules| (ENERGY.to_owned(), joules));
    energy.into_iter().chain(gpu.ecc_errors_total.iter().map(|(kind, errors)| (kind.clone(), *errors)))
}

const ENERGY: &str = "energy";

impl Monotone {
    /// A driver that was loaded again counts from zero: all that it tells then is new.
    fn after(self, raw: f64) -> Self {
        let new = if raw < self.raw { raw } else { raw - self.raw };
        Self { raw, total: self.total + new }
    }
}

fn add_xid(totals: &mut Totals, xid: Xid) {
    let known = totals.xids.contains_key(&xid.number);
    if known || totals.xids.len() < XID_NUMBERS {
        let (errors, last) = totals.xids.entry(xid.number).or_default();
        *errors += 1;
        *last = xid.unix_seconds;
    }
}

/// Puts the totals in the place of the driver's own figures. What was not read now is not told, but for XID errors.
fn tell(reading: &mut GpuReading) {
    let GpuReading { gpu, totals, .. } = reading;
    if gpu.up == Some(true) {
        gpu.busy_seconds_total = totals.busy_seconds;
        gpu.clock_event_seconds_total = totals.clock_event_seconds.clone();
    }
    let total = |name: &str| totals.counters.get(name).map(|counter| counter.total);
    gpu.energy_joules_total = gpu.energy_joules_total.and_then(|_| total(ENERGY));
    for (kind, errors) in &mut gpu.ecc_errors_total {
        *errors = total(kind).unwrap_or(*errors);
    }
    gpu.xid_errors_total = totals.xids.iter().map(|(xid, (errors, _))| (*xid, *errors)).collect();
    gpu.xid_last_timestamp_seconds = totals.xids.iter().map(|(xid, (_, last))| (*xid, *last)).collect();
}
