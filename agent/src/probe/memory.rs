//! Main memory and swap of the whole host, from `/proc/meminfo`. Particular to Linux.

use std::time::{Duration, Instant};

use report::Memory;

use super::{Failure, Probe, Reading, procfs};
use crate::limits::READ_PERIOD;

/// What psutil counts as cache.
const CACHES: [&str; 3] = ["Buffers", "Cached", "SReclaimable"];

/// Reads main memory and swap.
#[derive(Debug, Default)]
pub(crate) struct MemoryProbe;

impl Probe for MemoryProbe {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let text = std::fs::read_to_string("/proc/meminfo");
        let text = text.map_err(|error| Failure::new("io", format!("cannot read /proc/meminfo: {error}")))?;
        Ok(Reading::Memory(memory(&text)))
    }

    fn pause(&self) -> Duration {
        READ_PERIOD
    }
}

fn memory(meminfo: &str) -> Memory {
    let bytes = |key| procfs::bytes(meminfo, key);
    let less = |one: Option<u64>, other: Option<u64>| Some(one?.saturating_sub(other?));
    let (total, available) = (bytes("MemTotal"), bytes("MemAvailable"));
    let (swap_total, swap_free) = (bytes("SwapTotal"), bytes("SwapFree"));
    Memory {
        total_bytes: total,
        available_bytes: available,
        used_bytes: less(total, available),
        free_bytes: bytes("MemFree"),
        cached_bytes: CACHES.into_iter().map(bytes).sum(),
        swap_total_bytes: swap_total,
        swap_used_bytes: less(swap_total, swap_free),
        swap_free_bytes: swap_free,
        age_seconds: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn caches_are_summed_and_the_cache_of_swap_is_not_among_them() {
        let text = "MemTotal: 100 kB\nMemAvailable: 60 kB\nBuffers:  1 kB\nCached: 20 kB\nSwapCached: 400 kB\n\
                    SReclaimable: 3 kB\nSwapTotal: 9 kB\nSwapFree: 9 kB\n";
        let memory = memory(text);
        assert_eq!((memory.used_bytes, memory.cached_bytes), (Some(40 * 1024), Some(24 * 1024)));
        assert_eq!((memory.swap_used_bytes, memory.free_bytes), (Some(0), None));
    }

    #[test]
    fn what_is_not_told_is_unknown_and_so_is_what_follows_from_it() {
        let memory = memory("MemTotal: 100 kB\nBuffers: 1 kB\nCached: 20 kB\n");
        assert_eq!((memory.used_bytes, memory.cached_bytes, memory.swap_used_bytes), (None, None, None));
    }
}
