//! When probes are read: one thread a group of probes, each publishing into the one sample that everybody reads.
//! It decides nothing about the figures (that is `derive`) and knows no subject (those are the probes).

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Instant;

use tokio::sync::watch;

use crate::choice::{Choice, Selection};
use crate::clock::now_unix_seconds;
use crate::derive::{self, Attempt};
use crate::limits::READ_DEADLINE;
use crate::probe::{Failure, Group, Probe};
use crate::sample::{Record, Sample};

/// Starts the threads. They end when every receiver is gone; one that hangs in the kernel ends with the process.
///
/// # Errors
/// The system refuses a thread.
pub(crate) fn start(groups: Vec<Group>, choice: Choice) -> io::Result<watch::Receiver<Arc<Sample>>> {
    let due_by = Instant::now() + READ_DEADLINE;
    let records = groups.iter().flatten().map(|probe| Record::new(probe.name(), due_by)).collect();
    let selection = Selection::new(choice);
    let (started_unix_seconds, host_name) = (now_unix_seconds(), sysinfo::System::host_name().ok());
    let sample = Sample { started_unix_seconds, host_name, selection, records };
    let (publish, receiver) = watch::channel(Arc::new(sample));
    let mut first = 0;
    for group in groups {
        let worker = Worker::new(first, group, publish.clone());
        first += worker.probes.len();
        thread::Builder::new().name(worker.name()).spawn(move || worker.run())?;
    }
    Ok(receiver)
}

/// One thread's probes.
struct Worker {
    probes: Vec<Scheduled>,
    publish: watch::Sender<Arc<Sample>>,
}

struct Scheduled {
    /// The place of its record in the sample.
    place: usize,
    probe: Box<dyn Probe>,
    next: Instant,
}

impl Worker {
    fn new(first: usize, group: Group, publish: watch::Sender<Arc<Sample>>) -> Self {
        let next = Instant::now();
        let probes = group.into_iter().zip(first..).map(|(probe, place)| Scheduled { place, probe, next });
        Self { probes: probes.collect(), publish }
    }

    fn name(&self) -> String {
        self.probes
            .first()
            .map_or_else(|| "sampler".to_owned(), |first| format!("sampler-{}", first.probe.name()))
    }

    fn run(mut self) {
        while !self.publish.is_closed() {
            for scheduled in &mut self.probes {
                if scheduled.next <= Instant::now() {
                    scheduled.read(&self.publish);
                }
            }
            let Some(next) = self.probes.iter().map(|scheduled| scheduled.next).min() else { return };
            thread::sleep(next.saturating_duration_since(Instant::now()));
        }
    }
}

impl Scheduled {
    fn read(&mut self, publish: &watch::Sender<Arc<Sample>>) {
        let began = Instant::now();
        let result = self.probe.read(began);
        let (ended, pause) = (Instant::now(), self.probe.pause());
        self.next = ended + pause;
        let due_in = pause + self.probe.patience();
        let attempt = Attempt { began, ended, ended_unix_seconds: now_unix_seconds(), result, due_in };
        self.publish(attempt, publish);
    }

    /// Works out and logs first: readers of the sample wait for whoever changes it.
    fn publish(&self, attempt: Attempt, publish: &watch::Sender<Arc<Sample>>) {
        // Nobody else changes this record.
        let Some(before) = publish.borrow().records.get(self.place).cloned() else { return };
        let failure = before.failure.clone();
        let record = derive::advance(before, attempt);
        tell(failure.as_ref(), &record);
        publish.send_modify(|sample| {
            let sample = Arc::make_mut(sample);
            if let Some(place) = sample.records.get_mut(self.place) {
                *place = record;
            }
            sample.select();
        });
    }
}

fn tell(before: Option<&Failure>, record: &Record) {
    match (before, &record.failure) {
        (_, Some(failure)) if before != Some(failure) => {
            tracing::warn!(probe = record.name, reason = failure.reason, "{failure}");
        }
        (Some(_), None) => tracing::info!(probe = record.name, "reads again"),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
