//! What a process uses, as Linux tells in /proc.

use std::fs::{read_dir, read_to_string};
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

/// Memory of a process.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Memory {
    /// All pages that are resident.
    pub(crate) rss_bytes: u64,
    /// Those that are its own and in no file: heap, stacks.
    pub(crate) anonymous_bytes: u64,
    /// Resident pages, each divided by how many processes share it.
    pub(crate) proportional_bytes: u64,
}

pub(crate) fn memory(pid: u32) -> Result<Memory> {
    let status = read(pid, "status")?;
    let shares = read(pid, "smaps_rollup")?;
    let find = |text: &str, name: &str| kib(text, name).with_context(|| format!("{name} of process {pid}"));
    Ok(Memory {
        rss_bytes: find(&status, "VmRSS:")?,
        anonymous_bytes: find(&status, "RssAnon:")?,
        proportional_bytes: find(&shares, "Pss:")?,
    })
}

/// The most that was ever resident.
pub(crate) fn peak_bytes(pid: u32) -> Result<u64> {
    kib(&read(pid, "status")?, "VmHWM:").with_context(|| format!("VmHWM of process {pid}"))
}

fn kib(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse::<u64>().ok().map(|kib| kib * 1024)
}

/// What the scheduler counts of threads, to the nanosecond.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Work {
    /// Time on a CPU.
    pub(crate) ran: Duration,
    /// Time in which they could have run, but others did.
    pub(crate) waited: Duration,
}

impl Work {
    /// The part of it that came after `before`.
    pub(crate) fn since(self, before: Self) -> Self {
        Self { ran: self.ran.saturating_sub(before.ran), waited: self.waited.saturating_sub(before.waited) }
    }

    pub(crate) fn and(self, other: Self) -> Self {
        Self { ran: self.ran + other.ran, waited: self.waited + other.waited }
    }

    fn parse(text: &str) -> Option<Self> {
        let mut nanos = text.split_whitespace().map(|word| word.parse().ok().map(Duration::from_nanos));
        Some(Self { ran: nanos.next()??, waited: nanos.next()?? })
    }
}

/// What the threads of a process have done so far. Of threads that have ended nothing is known: right for processes
/// that keep theirs.
pub(crate) fn work(pid: u32) -> Result<Work> {
    let tasks = read_dir(format!("/proc/{pid}/task")).with_context(|| format!("threads of process {pid}"))?;
    // A thread may end while this is read.
    let works = tasks.flatten().filter_map(|task| read_to_string(task.path().join("schedstat")).ok());
    works
        .filter_map(|text| Work::parse(&text))
        .reduce(Work::and)
        .with_context(|| format!("the kernel does not tell the CPU time of process {pid}"))
}

/// What the calling thread has done so far.
pub(crate) fn own_work() -> Result<Work> {
    let text = read_to_string("/proc/thread-self/schedstat").context("read this thread's CPU time")?;
    Work::parse(&text).context("the kernel does not tell the CPU time of this thread")
}

/// Time that the threads of a process have been on a CPU so far.
pub(crate) fn cpu(pid: u32) -> Result<Duration> {
    Ok(work(pid)?.ran)
}

/// Time that the threads of these processes have been on a CPU so far.
pub(crate) fn cpu_of_all(pids: &[u32]) -> Result<Duration> {
    pids.iter().map(|pid| cpu(*pid)).sum()
}

/// A process and those that it has started.
pub(crate) fn family(pid: u32) -> Result<Vec<u32>> {
    let children = read(pid, &format!("task/{pid}/children"))?;
    Ok(std::iter::once(pid).chain(children.split_whitespace().filter_map(|word| word.parse().ok())).collect())
}

fn read(pid: u32, file: &str) -> Result<String> {
    read_to_string(format!("/proc/{pid}/{file}")).with_context(|| format!("read {file} of process {pid}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_has_used_cpu_and_memory() {
        let pid = std::process::id();
        // Only once the scheduler has looked at a thread is its time counted.
        while own_work().unwrap().ran.is_zero() {
            std::thread::yield_now();
        }
        // This thread is one of the process's; others of other tests may end at any time.
        let own = own_work().unwrap().ran;
        assert!(cpu(pid).unwrap() >= own);
        let memory = memory(pid).unwrap();
        assert!(peak_bytes(pid).unwrap() >= memory.anonymous_bytes);
        assert!(memory.anonymous_bytes > 0 && memory.anonymous_bytes <= memory.rss_bytes, "{memory:?}");
        assert!(memory.proportional_bytes > 0, "{memory:?}");
    }

    #[test]
    fn a_process_that_does_not_exist_is_an_error() {
        assert!(memory(u32::MAX).is_err());
        assert!(cpu(u32::MAX).is_err());
    }
}
