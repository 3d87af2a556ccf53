//! What `/proc` tells of processes. Where a sandbox hides others' processes, these are as if they were not there.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use super::{TICKS_PER_SECOND, bytes};
use crate::limits::{OPEN_FILES, PROCESSES};

/// The folder `/proc`.
#[derive(Clone, Debug)]
pub(in crate::probe) struct Processes {
    proc: PathBuf,
}

/// A living process.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(in crate::probe) struct Process {
    pub(in crate::probe) pid: u32,
    /// When it started, since boot: together with the number it tells a process from all others.
    pub(in crate::probe) start_ticks: u64,
    /// Processor time, user and system, without that of its children.
    pub(in crate::probe) cpu_seconds: f64,
}

impl Process {
    /// Whether this is the same process, seen at another time.
    pub(in crate::probe) fn is(&self, other: &Self) -> bool {
        (self.pid, self.start_ticks) == (other.pid, other.start_ticks)
    }
}

impl Default for Processes {
    fn default() -> Self {
        Self::new("/proc".into())
    }
}

impl Processes {
    pub(in crate::probe) fn new(proc: PathBuf) -> Self {
        Self { proc }
    }

    pub(in crate::probe) fn proc(&self) -> &Path {
        &self.proc
    }

    /// A process, unless it is gone, has ended but not been waited for, or is hidden.
    pub(in crate::probe) fn get(&self, pid: u32) -> Option<Process> {
        process(pid, &fs::read_to_string(self.file(pid, "stat")).ok()?)
    }

    /// The one that started first; `None` unless all can be seen.
    pub(in crate::probe) fn oldest(&self, pids: &[u32]) -> Option<Process> {
        let all: Option<Vec<Process>> = pids.iter().map(|pid| self.get(*pid)).collect();
        all?.into_iter().min_by_key(|process| (process.start_ticks, process.pid))
    }

    /// Every process that can be seen.
    pub(in crate::probe) fn all(&self) -> Vec<u32> {
        let entries = fs::read_dir(&self.proc).into_iter().flatten().flatten();
        let numbers = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        numbers.take(PROCESSES).collect()
    }

    /// The agent's own number.
    pub(in crate::probe) fn own(&self) -> Option<u32> {
        fs::read_link(self.proc.join("self")).ok()?.to_str()?.parse().ok()
    }

    /// Whether a sandbox keeps others' processes out of sight: the first process of a system is always there.
    pub(in crate::probe) fn are_hidden(&self) -> bool {
        !self.file(1, "stat").exists()
    }

    /// Whether a process holds all of these sockets; `None` if this process may not know.
    pub(in crate::probe) fn holds(&self, pid: u32, sockets: &BTreeSet<u64>) -> Option<bool> {
        let files = fs::read_dir(self.file(pid, "fd")).ok()?.flatten().take(OPEN_FILES);
        let held: BTreeSet<u64> =
            files.filter_map(|file| socket(&fs::read_link(file.path()).ok()?)).collect();
        Some(sockets.is_subset(&held))
    }

    /// Where a process stands in the hierarchy of version 2.
    pub(in crate::probe) fn cgroup_path(&self, pid: u32) -> Option<String> {
        let text = fs::read_to_string(self.file(pid, "cgroup")).ok()?;
        text.lines().find_map(|line| line.strip_prefix("0::")).map(str::to_owned)
    }

    /// Memory of a process that is in RAM, with the files that it has mapped.
    pub(in crate::probe) fn resident_bytes(&self, pid: u32) -> Option<u64> {
        self.size(pid, "VmRSS")
    }

    /// Address space of a process.
    pub(in crate::probe) fn virtual_bytes(&self, pid: u32) -> Option<u64> {
        self.size(pid, "VmSize")
    }

    /// When a process started, in seconds since the Unix epoch. The machine's own start is told to a second.
    pub(in crate::probe) fn start_unix_seconds(&self, process: &Process) -> Option<f64> {
        let lines = BufReader::new(File::open(self.proc.join("stat")).ok()?).lines();
        let booted =
            lines.map_while(Result::ok).find_map(|line| line.strip_prefix("btime ")?.parse::<u64>().ok())?;
        Some(booted as f64 + process.start_ticks as f64 / TICKS_PER_SECOND)
    }

    fn size(&self, pid: u32, key: &str) -> Option<u64> {
        bytes(&fs::read_to_string(self.file(pid, "status")).ok()?, key)
    }

    fn file(&self, pid: u32, name: &str) -> PathBuf {
        self.proc.join(pid.to_string()).join(name)
    }
}

/// Parses `/proc/PID/stat` by proc(5). The second field is a name in parentheses, which may itself hold spaces and
/// parentheses; of the others, state is the 3rd, user and system time the 14th and 15th, the start the 22nd.
fn process(pid: u32, stat: &str) -> Option<Process> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    let has_ended = matches!(fields.first(), Some(&("Z" | "X" | "x")));
    let cpu_seconds = (number(14)? + number(15)?) as f64 / TICKS_PER_SECOND;
    (!has_ended).then_some(Process { pid, start_ticks: number(22)?, cpu_seconds })
}

/// The number in the target of a link such as `socket:[777]`.
fn socket(link: &Path) -> Option<u64> {
    link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(name: &str, state: &str) -> String {
        format!(
            "7 ({name}) {state} 1 7 7 0 -1 4194304 500 0 3 0 150 50 9 9 20 0 30 0 4200 9999 88 18446744073709551615"
        )
    }

    #[test]
    fn a_process_is_read_whatever_its_name() {
        for name in ["python3", "a b", "x) R 1 2 3 (y", "()", ""] {
            let expected = Process { pid: 7, start_ticks: 4200, cpu_seconds: 2.0 };
            assert_eq!(process(7, &stat(name, "S")), Some(expected), "{name}");
        }
    }

    #[test]
    fn a_process_that_has_ended_and_one_that_cannot_be_made_out_are_none() {
        for text in [&stat("python3", "Z"), &stat("python3", "X"), "", "7 (python3) S 1 2", "7 (python3"] {
            assert_eq!(process(7, text), None, "{text}");
        }
    }

    #[test]
    fn this_process_is_found_with_what_it_uses() {
        let processes = Processes::default();
        let own = processes.get(std::process::id()).unwrap();
        assert_eq!(processes.own(), Some(own.pid));
        assert!(processes.all().contains(&own.pid));
        assert!(processes.resident_bytes(own.pid).unwrap() > 0);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs_f64();
        let age = now - processes.start_unix_seconds(&own).unwrap();
        assert!((-2.0..3600.0).contains(&age), "{age}");
    }
}
