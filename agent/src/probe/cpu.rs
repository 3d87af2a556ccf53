//! Processor time by mode and load averages. Utilization is the difference of two readings: `derive` makes it.

use std::time::{Duration, Instant};

use report::{Cpu, Load};
use sysinfo::System;

use super::{Failure, Probe, Reading, procfs};
use crate::limits::{FIRST_CPU_WINDOW, READ_PERIOD};

/// Reads processor time once a period, and a second time soon after the first, for the first window.
#[derive(Debug, Default)]
pub(crate) struct CpuProbe {
    readings: u64,
}

impl Probe for CpuProbe {
    fn name(&self) -> &'static str {
        "cpu"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        self.readings += 1;
        let seconds_total = procfs::read_cpu_seconds().map_err(|error| {
            Failure::new("io", format!("cannot read processor time from /proc/stat: {error}"))
        })?;
        Ok(Reading::Cpu(Cpu { seconds_total, load: load(), ..Cpu::default() }))
    }

    fn pause(&self) -> Duration {
        if self.readings < 2 { FIRST_CPU_WINDOW } else { READ_PERIOD }
    }
}

fn load() -> Option<Load> {
    let average = System::load_average().ok()?;
    Some(Load { load1: Some(average.one), load5: Some(average.five), load15: Some(average.fifteen) })
}
