//! What the collector is measured with: simulated ComfyUI servers in this process, each with an agent, and the real
//! collector as a process of its own with its queue on a disk.

use std::fmt::Write as _;
use std::fs::{read_to_string, write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Figures, Generation};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::client::{Connection, address_of};
use crate::process::{Program, binary, free_address};

const PATIENCE: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Simulated servers, each with an agent beside it.
#[derive(Debug)]
pub(crate) struct Servers {
    pub(crate) comfy: Vec<Comfy>,
    agents: Vec<Agent>,
    runtime: Runtime,
}

impl Servers {
    pub(crate) fn start(count: usize, generation: Generation) -> Result<Self> {
        let config = ComfyConfig { generation, ..ComfyConfig::default() };
        Self::of(std::iter::repeat_n((config, Figures::default()), count))
    }

    /// Each with what its agent tells besides.
    pub(crate) fn of(machines: impl IntoIterator<Item = (ComfyConfig, Figures)>) -> Result<Self> {
        let runtime = Runtime::new().context("start an async runtime")?;
        let (comfy, agents) = runtime.block_on(async {
            let (mut servers, mut agents) = (Vec::new(), Vec::new());
            for (config, figures) in machines {
                let server = Comfy::start(config).await?;
                let beside = Some(server.clone());
                agents.push(Agent::start(AgentConfig { beside, figures, ..AgentConfig::default() }).await?);
                servers.push(server);
            }
            sim::Result::Ok((servers, agents))
        })?;
        Ok(Self { comfy, agents, runtime })
    }

    pub(crate) fn kill(&self, server: usize) -> Result<()> {
        let server = self.comfy.get(server).context("there is no such server")?;
        self.runtime.block_on(server.kill());
        Ok(())
    }

    pub(crate) fn restart(&self, server: usize) -> Result<()> {
        let server = self.comfy.get(server).context("there is no such server")?;
        self.runtime.block_on(server.restart()).context("restart a server")
    }

    /// Waits until all servers together have executed so many prompts.
    pub(crate) fn executed(&self, prompts: u64) -> Result<()> {
        self.runtime.block_on(async {
            let began = Instant::now();
            loop {
                let counts = self.comfy.iter().map(|server| server.counters().executed);
                let (done, busy) = (counts.sum::<u64>(), began.elapsed() < 10 * PATIENCE);
                match (done >= prompts, busy) {
                    (true, _) => return Ok(()),
                    (false, true) => tokio::time::sleep(LOOK_EVERY).await,
                    (false, false) => {
                        bail!("{done} of {prompts} jobs were executed within {:?}", 10 * PATIENCE)
                    }
                }
            }
        })
    }
}

/// The collector's release binary in front of the servers.
#[derive(Debug)]
pub(crate) struct Collector {
    program: Program,
    token: Option<String>,
    // After the program, which writes there until it is stopped.
    state: TempDir,
}

impl Collector {
    /// Returns when the collector knows what every server offers.
    pub(crate) fn start(servers: &Servers, disk: &Disk) -> Result<Self> {
        Self::with(servers, disk, "")
    }

    /// With more keys in its configuration file.
    pub(crate) fn with(servers: &Servers, disk: &Disk, keys: &str) -> Result<Self> {
        Self::guarded(servers, disk.folder()?, keys, None)
    }

    /// On a state directory, and with a token that may read where the keys ask for one.
    pub(crate) fn guarded(
        servers: &Servers,
        state: TempDir,
        keys: &str,
        token: Option<&str>,
    ) -> Result<Self> {
        let program = launch(servers, state.path(), keys)?;
        let collector = Self { program, token: token.map(str::to_owned), state };
        collector.knows_all(servers.comfy.len())?;
        Ok(collector)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.program.address
    }

    pub(crate) fn pid(&self) -> u32 {
        self.program.pid()
    }

    /// The mean of one of its histograms in seconds; absent while nothing was observed.
    pub(crate) fn mean(&self, histogram: &str) -> Result<Option<f64>> {
        let text = self.metrics()?;
        let value = |suffix: &str| sample(&text, &format!("orchestrator_collector_{histogram}_{suffix}"));
        let count = value("count").filter(|count| *count > 0.0);
        Ok(count.and_then(|count| Some(value("sum")? / count)))
    }

    pub(crate) fn state(&self) -> &Path {
        self.state.path()
    }

    pub(crate) fn connect(&self) -> Result<Connection> {
        Connection::open_as(self.token.as_deref(), self.address())
    }

    pub(crate) fn metrics(&self) -> Result<String> {
        let answer = self.connect()?.get("/metrics")?.ok()?;
        String::from_utf8(answer.body).context("the collector's metrics are no text")
    }

    fn knows_all(&self, servers: usize) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let text = self.metrics()?;
            let up = text.lines().filter(|line| line.starts_with("orchestrator_collector_backend_up{"));
            let classes = self.connect()?.get("/object_info")?;
            let told = String::from_utf8_lossy(&classes.body).contains("KSampler");
            if told && up.filter(|line| line.ends_with(" 1")).count() == servers {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("the collector did not see {servers} servers within {PATIENCE:?}")
    }
}

/// The same on a directory that may hold a queue already. Returns when it is ready.
pub(crate) fn launch(servers: &Servers, state: &Path, keys: &str) -> Result<Program> {
    let address = free_address()?;
    let config = state.join("collector.toml");
    write(&config, keys.to_owned() + &configuration(servers, state, address)?)
        .with_context(|| format!("write {}", config.display()))?;
    let mut command = Command::new(binary("orchestrator-collector")?);
    command.arg("--config").arg(&config);
    Program::start(command, address, "/-/ready")
}

fn configuration(servers: &Servers, state: &Path, listen: SocketAddr) -> Result<String> {
    let mut text = format!("listen = \"{listen}\"\nstate_directory = {:?}\n", state.display().to_string());
    for (index, (server, agent)) in servers.comfy.iter().zip(&servers.agents).enumerate() {
        let (url, agent) = (server.url(), agent.url());
        writeln!(text, "[[backend]]\nname = \"s{index}\"\nurl = \"{url}\"\nagent = \"{agent}\"")
            .context("word the configuration")?;
    }
    Ok(text)
}

/// The value of a metric without labels.
fn sample(text: &str, name: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    line.trim().parse().ok()
}

pub(crate) fn address(server: &Comfy) -> Result<SocketAddr> {
    address_of(&server.url())
}

/// Where the collector keeps its queue, and what kind of file system that is.
#[derive(Debug, Serialize)]
pub(crate) struct Disk {
    pub(crate) directory: PathBuf,
    pub(crate) file_system: Option<String>,
}

impl Disk {
    pub(crate) fn at(chosen: Option<&Path>) -> Result<Self> {
        let directory = chosen.map_or_else(std::env::temp_dir, Path::to_owned);
        let directory =
            directory.canonicalize().with_context(|| format!("--state {}", directory.display()))?;
        ensure!(directory.is_dir(), "--state {} is no directory", directory.display());
        let mounts = read_to_string("/proc/mounts").unwrap_or_default();
        let file_system = file_system(&mounts, &directory);
        Ok(Self { directory, file_system })
    }

    pub(crate) fn folder(&self) -> Result<TempDir> {
        let made = tempfile::Builder::new().prefix("bench-").tempdir_in(&self.directory);
        made.with_context(|| {
            format!("make a directory in {}; give another with --state", self.directory.display())
        })
    }

    pub(crate) fn line(&self) -> String {
        let kind = self.file_system.as_deref().unwrap_or("an unknown file system");
        format!("the collector's queue was in {} on {kind}", self.directory.display())
    }

    /// A warning where writing to it proves nothing.
    pub(crate) fn warning(&self) -> Option<String> {
        let in_memory = matches!(self.file_system.as_deref(), Some("tmpfs" | "ramfs"));
        in_memory
            .then(|| "that is memory, where nothing is durable and commits cost nothing: give --state".into())
    }
}

/// The type of the file system that holds `directory`: that of the deepest, last-mounted mount point above it.
fn file_system(mounts: &str, directory: &Path) -> Option<String> {
    let mounts = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ').skip(1);
        Some((Path::new(words.next()?), words.next()?))
    });
    let above = mounts.filter(|(point, _)| directory.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_tells_the_file_system() {
        let mounts = "/dev/a / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n/dev/b /tmp/disk xfs rw 0 0\n";
        let kind = |directory| file_system(mounts, Path::new(directory));
        assert_eq!(kind("/var/lib").as_deref(), Some("ext4"));
        assert_eq!(kind("/tmp/x").as_deref(), Some("tmpfs"));
        assert_eq!(kind("/tmp/disk/x").as_deref(), Some("xfs"));
        assert_eq!(kind("/tmpfile").as_deref(), Some("ext4"));
    }

    #[test]
    fn a_metric_is_found_by_its_whole_name() {
        let text = "# TYPE a_seconds histogram\na_seconds_sum_x 9\na_seconds_sum 0.5\na_seconds_count 2\n";
        assert_eq!(sample(text, "a_seconds_sum"), Some(0.5));
        assert_eq!(sample(text, "b_seconds_sum"), None);
    }
}
