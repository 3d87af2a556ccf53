//! Main memory and swap of the whole host.

use std::time::{Duration, Instant};

use report::Memory;
use sysinfo::System;

use super::{Failure, Probe, Reading, procfs};
use crate::limits::READ_PERIOD;

/// Reads memory with sysinfo, and the size of the caches only where somebody wants it.
#[derive(Debug)]
pub struct MemoryProbe {
    wants_cache: bool,
    system: Option<System>,
}

impl MemoryProbe {
    /// `wants_cache`: whether `cached_bytes` is read as well.
    pub fn new(wants_cache: bool) -> Self {
        Self { wants_cache, system: None }
    }

    fn system(&mut self) -> Result<&mut System, Failure> {
        if self.system.is_none() {
            self.system = System::new().ok();
        }
        self.system
            .as_mut()
            .ok_or_else(|| Failure::new("unsupported", "this system does not tell its memory"))
    }
}

impl Probe for MemoryProbe {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let cached_bytes = if self.wants_cache { procfs::read_cached_bytes().ok() } else { None };
        let system = self.system()?;
        system.refresh_memory();
        // sysinfo keeps quiet about a file that it cannot read, and leaves zero.
        let total = Some(system.total_memory()).filter(|total| *total > 0);
        let total = total.ok_or_else(|| Failure::new("io", "cannot read memory from /proc/meminfo"))?;
        Ok(Reading::Memory(Memory {
            total_bytes: Some(total),
            available_bytes: Some(system.available_memory()),
            used_bytes: Some(total.saturating_sub(system.available_memory())),
            free_bytes: Some(system.free_memory()),
            cached_bytes,
            swap_total_bytes: Some(system.total_swap()),
            swap_used_bytes: Some(system.used_swap()),
            swap_free_bytes: Some(system.free_swap()),
            age_seconds: None,
        }))
    }

    fn pause(&self) -> Duration {
        READ_PERIOD
    }
}
