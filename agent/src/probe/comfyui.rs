//! The ComfyUI beside the agent, as the operating system sees it: who listens at its address, what runs as its unit,
//! or which process its PID file names. Nothing is connected to, signalled or executed; root is not needed, but where
//! ComfyUI is another user's, its open files cannot be seen. Particular to Linux.
//!
//! ```text
//! listener ─ sock_diag │ proc_net     who listens at the address
//! pid_file                            which process the file names
//! search ─ cgroup, ownership          which process and control group that is
//! ```

mod cgroup;
mod listener;
mod ownership;
mod pid_file;
mod proc_net;
mod search;
mod sock_diag;

use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use report::ComfyUi;

use super::procfs::processes::{Process, Processes};
use super::{ComfyUiReading, Failure, Probe, Reading};
use crate::config::Whereabouts;
use crate::limits::COUNTER_PERIOD;

use cgroup::Cgroup;
use search::{Found, Main, Search};

/// Reads one ComfyUI's process and its control group.
#[derive(Debug)]
pub struct ComfyUiProbe {
    whereabouts: Whereabouts,
    processes: Processes,
    search: Search,
    /// The main process when it was first seen, and when it started: it is worked out once, so that the figure stays
    /// when the machine's clock is set.
    started: Option<(Process, Option<f64>)>,
    is_engine_told: bool,
}

impl ComfyUiProbe {
    /// For the ComfyUI that is found so.
    pub fn new(whereabouts: Whereabouts) -> Self {
        Self::among(whereabouts, Processes::default())
    }

    fn among(whereabouts: Whereabouts, processes: Processes) -> Self {
        let search = Search::new(processes.clone());
        Self { whereabouts, processes, search, started: None, is_engine_told: false }
    }

    fn find(&mut self) -> Result<Found, Failure> {
        match &self.whereabouts {
            Whereabouts::Address(address) => {
                let listeners = listener::at(self.processes.proc(), *address);
                Ok(self.search.behind(&listeners.map_err(|error| cannot_tell(*address, &error))?))
            }
            Whereabouts::Unit(name) => self.search.unit(Path::new(&unit(name))),
            Whereabouts::PidFile(file) => {
                let process = pid_file::process(file, &self.processes)?;
                Ok(process.map_or(Found::Nowhere, |process| self.search.around(process)))
            }
        }
    }

    fn told(&mut self, found: Found) -> ComfyUiReading {
        match found {
            Found::Nowhere => up(false),
            Found::Somewhere => up(true),
            Found::Engine => {
                self.tell_engine();
                up(true)
            }
            Found::Cgroup { cgroup, pids, main } => self.of_cgroup(&cgroup, pids, main),
            Found::Process(process) => self.of_process(process),
        }
    }

    fn of_cgroup(&mut self, cgroup: &Cgroup, pids: Vec<u32>, main: Option<Main>) -> ComfyUiReading {
        // A hierarchy beside those of version 1 knows nothing of memory. A launcher's would not be ComfyUI's.
        let certain = main.filter(|main| main.is_certain).map(|main| main.process);
        let resident = || self.processes.resident_bytes(certain?.pid);
        let comfyui = ComfyUi {
            up: Some(true),
            memory_bytes: cgroup.memory_bytes().or_else(resident),
            cpu_seconds_total: cgroup.cpu_seconds().or(certain.map(|process| process.cpu_seconds)),
            cgroup: Some(cgroup.path.clone()),
            pid: main.map(|main| main.process.pid),
            process_start_time_seconds: main.and_then(|main| self.start(main.process)),
            ..ComfyUi::default()
        };
        ComfyUiReading { comfyui, pids, last_start_time_seconds: None }
    }

    fn of_process(&mut self, process: Process) -> ComfyUiReading {
        let comfyui = ComfyUi {
            up: Some(true),
            pid: Some(process.pid),
            memory_bytes: self.processes.resident_bytes(process.pid),
            cpu_seconds_total: Some(process.cpu_seconds),
            process_start_time_seconds: self.start(process),
            ..ComfyUi::default()
        };
        ComfyUiReading { comfyui, pids: vec![process.pid], last_start_time_seconds: None }
    }

    fn start(&mut self, process: Process) -> Option<f64> {
        match self.started {
            Some((known, Some(seconds))) if known.is(&process) => Some(seconds),
            _ => {
                let seconds = self.processes.start_unix_seconds(&process);
                self.started = Some((process, seconds));
                seconds
            }
        }
    }

    fn tell_engine(&mut self) {
        if !self.is_engine_told {
            tracing::warn!(
                "a container engine listens at ComfyUI's address, so that nothing but that is known of ComfyUI; name \
                 its container with --comfyui-unit docker-<id>.scope, or its process with --comfyui-pid-file"
            );
        }
        self.is_engine_told = true;
    }
}

impl Probe for ComfyUiProbe {
    fn name(&self) -> &'static str {
        "comfyui"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let found = self.find()?;
        Ok(Reading::ComfyUi(self.told(found)))
    }

    fn pause(&self) -> Duration {
        COUNTER_PERIOD
    }
}

fn up(up: bool) -> ComfyUiReading {
    let comfyui = ComfyUi { up: Some(up), ..ComfyUi::default() };
    ComfyUiReading { comfyui, ..ComfyUiReading::default() }
}

/// The last parts of a unit's path. As for systemctl, a name without a suffix is a service's; a path is taken as it is.
fn unit(name: &str) -> String {
    let name = name.trim_start_matches('/');
    let is_whole =
        name.contains('/') || [".service", ".scope", ".slice"].iter().any(|end| name.ends_with(end));
    if is_whole { name.to_owned() } else { format!("{name}.service") }
}

fn cannot_tell(address: SocketAddr, error: &std::io::Error) -> Failure {
    Failure::new(
        "io",
        format!(
            "cannot tell whether ComfyUI listens at {address}, neither by netlink nor from /proc/net/tcp: {error}; \
             allow the agent AF_NETLINK (RestrictAddressFamilies), or name ComfyUI with --comfyui-unit"
        ),
    )
}

#[cfg(test)]
mod tests;
