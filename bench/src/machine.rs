//! The machine on which figures were taken. Linux only: it reads /proc.

use std::fs::read_to_string;
use std::thread;

use serde::Serialize;

/// What a reader has to know of the machine to judge the figures.
#[derive(Debug, Serialize)]
pub(crate) struct Machine {
    pub(crate) cores: Option<usize>,
    pub(crate) cpu: Option<String>,
    pub(crate) kernel: Option<String>,
    pub(crate) memory_bytes: Option<u64>,
    /// Seconds of the Unix epoch.
    pub(crate) at: Option<u64>,
    /// How many tasks ran or wanted to during the last minute, before the measurement began.
    pub(crate) load_1m: Option<f64>,
}

impl Machine {
    pub(crate) fn here() -> Self {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        Self {
            cores: thread::available_parallelism().ok().map(Into::into),
            cpu: field("/proc/cpuinfo", "model name"),
            kernel: word("/proc/sys/kernel/osrelease", 0),
            memory_bytes: memory_bytes(),
            at: now.ok().map(|elapsed| elapsed.as_secs()),
            load_1m: word("/proc/loadavg", 0).and_then(|load| load.parse().ok()),
        }
    }

    /// One line for people.
    pub(crate) fn line(&self) -> String {
        let cores = self.cores.map(|cores| format!("{cores} cores"));
        let kernel = self.kernel.as_ref().map(|kernel| format!("Linux {kernel}"));
        let memory = self.memory_bytes.map(|bytes| format!("{:.0} GiB", bytes as f64 / f64::from(1 << 30)));
        let load = self.load_1m.map(|load| format!("load {load:.2}"));
        let known = [cores, self.cpu.clone(), memory, kernel, load];
        known.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

fn memory_bytes() -> Option<u64> {
    let total = field("/proc/meminfo", "MemTotal")?;
    let kib: u64 = total.split_whitespace().next()?.parse().ok()?;
    Some(kib * 1024)
}

/// The value after the first `name:` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = read_to_string(path).ok()?;
    let mut lines = text.lines().filter_map(|line| line.split_once(':'));
    lines.find(|(key, _)| key.trim() == name).map(|(_, value)| value.trim().to_owned())
}

fn word(path: &str, index: usize) -> Option<String> {
    read_to_string(path).ok()?.split_whitespace().nth(index).map(str::to_owned)
}
