//! What the sampler publishes: the last reading of every probe, and how the probe fares. Data only.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::choice::Selection;
use crate::probe::{Failure, GpuReading, Reading};

/// The state of all probes. Ages depend on who asks when: `derive::report` works them out.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    /// When the agent began, in seconds since the Unix epoch.
    pub started_unix_seconds: f64,
    /// The machine's own name.
    pub host_name: Option<String>,
    /// The GPUs that the agent speaks for.
    pub selection: Selection,
    /// One entry a probe, in a fixed order.
    pub records: Vec<Record>,
}

impl Sample {
    /// Binds the selection anew to what is known now.
    pub(crate) fn select(&mut self) {
        // One entry a maker, whether or not its driver has ever answered: their order is that of the probes.
        let makers: Vec<&[GpuReading]> = self.records.iter().map(Record::gpus).collect();
        let readings = self.records.iter().filter_map(|record| Some(record.reading.as_ref()?.0.as_ref()));
        let comfyui: &[u32] =
            readings.map(Reading::comfyui_pids).find(|pids| !pids.is_empty()).unwrap_or_default();
        self.selection.advance(&makers, comfyui);
    }

    /// Whether there are GPUs, but none that the agent is to speak for. Before every probe has had its time that is
    /// not known.
    pub(crate) fn is_choice_unmet(&self, now: Instant) -> bool {
        let mut gpus = self.records.iter().flat_map(Record::gpus).peekable();
        self.records.iter().all(|record| record.is_settled(now))
            && gpus.peek().is_some()
            && !gpus.any(|reading| self.selection.holds(&reading.gpu))
    }
}

/// The history of one probe as far as it matters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// The probe's name.
    pub name: &'static str,
    /// The last reading that succeeded, with when it began; shared because readers copy samples.
    pub reading: Option<(Arc<Reading>, Instant)>,
    /// Why the last attempt failed; `None` if it succeeded or none has ended yet.
    pub failure: Option<Failure>,
    /// When the first of the failures ended that had this reason, without a success or another reason since.
    pub failing_since: Option<Instant>,
    /// Attempts that have ended.
    pub attempts: u64,
    /// How long the last attempt took.
    pub duration: Option<Duration>,
    /// When the last success ended, in seconds since the Unix epoch.
    pub last_success_unix_seconds: Option<f64>,
    /// Failures since the start by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// When the attempt under way must have ended, or else counts as failed.
    pub due_by: Instant,
}

impl Record {
    /// A probe that has not been read yet; its first reading must end by `due_by`.
    pub(crate) fn new(name: &'static str, due_by: Instant) -> Self {
        Self {
            name,
            reading: None,
            failure: None,
            failing_since: None,
            attempts: 0,
            duration: None,
            last_success_unix_seconds: None,
            failures: BTreeMap::new(),
            due_by,
        }
    }

    /// The GPUs of its last reading, if it is a maker's.
    fn gpus(&self) -> &[GpuReading] {
        self.reading.as_ref().map_or(&[], |(reading, _)| reading.gpus())
    }

    /// Whether the attempt under way has passed its deadline.
    pub(crate) fn is_overdue(&self, now: Instant) -> bool {
        now > self.due_by
    }

    /// Whether it is settled what this probe can tell: an attempt has ended, or its deadline has.
    pub(crate) fn is_settled(&self, now: Instant) -> bool {
        self.attempts > 0 || self.is_overdue(now)
    }
}
