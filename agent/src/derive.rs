//! What follows from readings. Pure: time is an argument; nothing is read here.
//!
//! [`advance`] folds one attempt into a probe's record, [`report()`] says what is known at a moment,
//! [`node_metrics()`] says it again in the words of the Python node, and [`is_shut_out`] whether the process must be
//! started anew to reach the driver.

mod gpus;
mod integrate;
mod node_metrics;
mod totals;

use std::sync::Arc;
use std::time::{Duration, Instant};

use report::{Agent, Memory, Report};

pub(crate) use node_metrics::node_metrics;

use crate::limits::REFUSAL_PATIENCE;
use crate::probe::{Failure, ProcessReading, Reading};
use crate::sample::{Record, Sample};

/// One attempt to read a probe.
#[derive(Debug)]
pub(crate) struct Attempt {
    /// When it began; what it read is at least as old as this.
    pub began: Instant,
    /// When it ended.
    pub ended: Instant,
    /// When it ended, in seconds since the Unix epoch.
    pub ended_unix_seconds: f64,
    /// What it read.
    pub result: Result<Reading, Failure>,
    /// How long until the next must have ended: the probe's pause and its patience.
    pub due_in: Duration,
}

/// The record after an attempt.
pub(crate) fn advance(mut record: Record, attempt: Attempt) -> Record {
    if record.is_overdue(attempt.ended) {
        count(&mut record, "timeout");
    }
    record.attempts += 1;
    record.duration = Some(attempt.ended.saturating_duration_since(attempt.began));
    record.due_by = attempt.ended + attempt.due_in;
    match attempt.result {
        Ok(reading) => {
            let previous = record.reading.as_ref().map(|(reading, began)| (reading.as_ref(), *began));
            let reading = integrate::integrated(previous, reading, attempt.began);
            record.reading = Some((Arc::new(reading), attempt.began));
            // What a call that hung had read before it is as old as the hang: it counts for totals and is not told.
            let is_stale = record.duration > Some(attempt.due_in);
            record.failure = is_stale.then(|| Failure::new("timeout", STALE));
            record.failing_since = None;
            record.last_success_unix_seconds = Some(attempt.ended_unix_seconds);
        }
        Err(failure) => {
            count(&mut record, failure.reason);
            let is_another = record.failure.as_ref().is_none_or(|before| before.reason != failure.reason);
            record.failing_since = record.failing_since.filter(|_| !is_another).or(Some(attempt.ended));
            record.failure = Some(failure);
        }
    }
    record
}

const STALE: &str =
    "the kernel or the driver answered too late for what it had been asked; it is asked again";

fn count(record: &mut Record, reason: &'static str) {
    *record.failures.entry(reason).or_default() += 1;
}

/// Everything that is known at `now`. A probe that failed or is overdue contributes nothing but its failure.
pub(crate) fn report(sample: &Sample, now: Instant) -> Report {
    let mut report = Report { agent: Some(agent(sample.started_unix_seconds)), ..Report::default() };
    report.host.name.clone_from(&sample.host_name);
    for record in &sample.records {
        report.probes.push(probe(record, now));
        if let Some((reading, began)) = valid(record, now) {
            place(&mut report, reading, age_seconds(began, now));
        }
    }
    gpus::place(&mut report, sample, now);
    report
}

/// Whether the driver, after it had been open, has refused to be opened for so long that it will not come back to
/// this process: systemd takes the devices of a running unit away when it is reloaded.
pub(crate) fn is_shut_out(sample: &Sample, now: Instant) -> bool {
    sample.records.iter().any(|record| {
        let refused = record.failure.as_ref().is_some_and(|failure| failure.reason == "permission");
        let since = record.failing_since.map(|since| now.saturating_duration_since(since));
        refused && record.reading.is_some() && since.is_some_and(|since| since > REFUSAL_PATIENCE)
    })
}

/// The last reading, unless a later attempt has failed or is overdue.
fn valid(record: &Record, now: Instant) -> Option<(&Reading, Instant)> {
    let (reading, began) = record.reading.as_ref()?;
    (record.failure.is_none() && !record.is_overdue(now)).then_some((reading.as_ref(), *began))
}

/// Milliseconds are all that a poller can make use of.
fn age_seconds(began: Instant, now: Instant) -> Option<f64> {
    Some(now.saturating_duration_since(began).as_millis() as f64 / 1000.0)
}

fn agent(started_unix_seconds: f64) -> Agent {
    Agent {
        version: Some(env!("CARGO_PKG_VERSION").to_owned()),
        revision: option_env!("AGENT_REVISION").map(str::to_owned),
        rustc: option_env!("AGENT_RUSTC").map(str::to_owned),
        start_time_seconds: Some(started_unix_seconds),
        ..Agent::default()
    }
}

fn place(report: &mut Report, reading: &Reading, age_seconds: Option<f64>) {
    let host = &mut report.host;
    match reading {
        Reading::Cpu(cpu) => host.cpu = Some(report::Cpu { age_seconds, ..cpu.clone() }),
        Reading::Memory(memory) => host.memory = Some(Memory { age_seconds, ..memory.clone() }),
        Reading::Storage(storage) => host.storage = Some(report::Storage { age_seconds, ..storage.clone() }),
        Reading::Network(network) => host.network = Some(report::Network { age_seconds, ..network.clone() }),
        Reading::Pressure(pressure) => {
            host.pressure = Some(report::Pressure { age_seconds, ..pressure.clone() });
        }
        Reading::Process(process) => place_process(report, process),
        Reading::ComfyUi(reading) => {
            report.comfyui = Some(report::ComfyUi { age_seconds, ..reading.comfyui.clone() });
        }
        Reading::Models(models) => report.models = Some(report::Models { age_seconds, ..models.clone() }),
        // GPUs are placed when all else is known: some of their figures are the host's.
        Reading::Gpus(_) => {}
    }
}

fn place_process(report: &mut Report, process: &ProcessReading) {
    let agent = report.agent.get_or_insert_default();
    agent.resident_memory_bytes = Some(process.resident_memory_bytes);
    agent.virtual_memory_bytes = Some(process.virtual_memory_bytes);
    agent.cpu_seconds_total = Some(process.cpu_seconds_total);
    agent.open_fds = process.open_fds;
    agent.max_fds = process.max_fds;
    agent.threads = process.threads;
}

fn probe(record: &Record, now: Instant) -> report::Probe {
    let overdue = record.is_overdue(now);
    let mut failures_total: std::collections::BTreeMap<String, u64> =
        record.failures.iter().map(|(reason, count)| ((*reason).to_owned(), *count)).collect();
    if overdue {
        // `advance` counts the same timeout when the attempt ends at last, so the counter never falls.
        *failures_total.entry("timeout".to_owned()).or_default() += 1;
    }
    report::Probe {
        name: record.name.to_owned(),
        success: record.is_settled(now).then_some(record.failure.is_none() && !overdue),
        duration_seconds: record.duration.map(|duration| duration.as_secs_f64()),
        last_success_timestamp_seconds: record.last_success_unix_seconds,
        failures_total,
        error: if overdue {
            Some(OVERDUE.to_owned())
        } else {
            record.failure.as_ref().map(Failure::to_string)
        },
    }
}

const OVERDUE: &str = "the kernel or the driver has not answered in time; the reading is still under way";

#[cfg(test)]
mod tests;
