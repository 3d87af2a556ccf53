//! The agent's own process: what it costs the machine that it watches.

use std::time::{Duration, Instant};

use rustix::process::{Resource, getrlimit};

use super::procfs::processes::Processes;
use super::{Failure, Probe, Reading};
use crate::limits::COUNTER_PERIOD;

/// What the agent uses.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessReading {
    /// Resident memory.
    pub resident_memory_bytes: u64,
    /// Address space.
    pub virtual_memory_bytes: u64,
    /// Processor time, user and system, since the process began.
    pub cpu_seconds_total: f64,
    /// File descriptors that are open.
    pub open_fds: Option<u64>,
    /// File descriptors that may be open.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
}

/// Reads this process alone, without its threads.
#[derive(Debug, Default)]
pub(crate) struct ProcessProbe {
    processes: Processes,
}

impl Probe for ProcessProbe {
    fn name(&self) -> &'static str {
        "process"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        self.look()
            .map(Reading::Process)
            .ok_or_else(|| Failure::new("io", "cannot read the agent's own process"))
    }

    fn pause(&self) -> Duration {
        COUNTER_PERIOD
    }
}

impl ProcessProbe {
    fn look(&self) -> Option<ProcessReading> {
        let own = self.processes.get(self.processes.own()?)?;
        Some(ProcessReading {
            resident_memory_bytes: self.processes.resident_bytes(own.pid)?,
            virtual_memory_bytes: self.processes.virtual_bytes(own.pid)?,
            cpu_seconds_total: own.cpu_seconds,
            // The listing itself has one open.
            open_fds: entries("/proc/self/fd").map(|open| open.saturating_sub(1)),
            max_fds: getrlimit(Resource::Nofile).current,
            threads: entries("/proc/self/task"),
        })
    }
}

fn entries(folder: &str) -> Option<u64> {
    Some(std::fs::read_dir(folder).ok()?.count() as u64)
}
