//! The two programs under test, as an operator starts them.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::client::Client;
use crate::program::Program;
use crate::server::Server;
use crate::wait::until;

const COLLECTOR: &str = env!("CARGO_BIN_EXE_orchestrator-collector");

pub(crate) struct Agent {
    pub(crate) url: String,
    program: Program,
}

/// As the collector's configuration has it.
pub(crate) struct Backend {
    pub(crate) name: String,
    pub(crate) url: String,
    pub(crate) agent: String,
}

pub(crate) struct Collector {
    pub(crate) url: String,
    folder: PathBuf,
    program: Program,
}

impl Agent {
    /// Beside this server.
    pub(crate) async fn start(server: &Server, folder: &Path) -> Result<Self> {
        let mut command = ours(&agent_executable()?);
        command.args(["--listen", "127.0.0.1:0"]);
        let name = format!("agent of {}", server.name());
        let mut program = Program::start(&name, &mut command, &folder.join("agent.log"))?;
        let url = program.address().await?;
        ready(&url).await?;
        Ok(Self { url, program })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&self.url)
    }

    pub(crate) fn last_words(&self) -> String {
        self.program.last_words()
    }
}

impl Collector {
    /// In front of all of these, with its configuration, to which `line` belongs, and its state in `folder`.
    pub(crate) async fn start(folder: PathBuf, backends: &[Backend], line: &str) -> Result<Self> {
        fs::write(folder.join("collector.toml"), configuration(&folder, backends, line)?)?;
        let mut program = launch(&folder, "127.0.0.1:0")?;
        let url = program.address().await?;
        ready(&url).await?;
        Ok(Self { url, folder, program })
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&self.url)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.program.is_running()
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.program.kill()
    }

    /// After [`Collector::kill`]: the same configuration, state and address.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        let address = self.url.strip_prefix("http://").context("no http address")?;
        self.program = launch(&self.folder, address)?;
        ensure!(self.program.address().await? == self.url, "it listens elsewhere after its restart");
        ready(&self.url).await
    }

    /// What it has written since its last start.
    pub(crate) fn output(&self) -> String {
        self.program.output()
    }

    pub(crate) fn last_words(&self) -> String {
        self.program.last_words()
    }
}

fn launch(folder: &Path, listen: &str) -> Result<Program> {
    let mut command = ours(Path::new(COLLECTOR));
    command.arg("--config").arg(folder.join("collector.toml")).args(["--listen", listen]);
    Program::start("the collector", &mut command, &folder.join("log"))
}

/// With nothing of the surroundings in its settings.
fn ours(executable: &Path) -> Command {
    let mut command = Command::new(executable);
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("ORCHESTRATOR_") || matches!(&*text, "STATE_DIRECTORY" | "RUST_LOG") {
            command.env_remove(&name);
        }
    }
    command
}

async fn ready(url: &str) -> Result<()> {
    let client = Client::new(url)?;
    let what = format!("{url} to be ready");
    until(&what, Duration::from_secs(30), async || client.text("/-/ready").await.map(Some)).await.map(drop)
}

fn configuration(folder: &Path, backends: &[Backend], line: &str) -> Result<String> {
    let state = folder.join("state");
    let mut text = format!("listen = \"127.0.0.1:0\"\nstate_directory = {}\n{line}\n", quoted(&state)?);
    for Backend { name, url, agent } in backends {
        writeln!(text, "\n[[backend]]\nname = \"{name}\"\nurl = \"{url}\"\nagent = \"{agent}\"")?;
    }
    Ok(text)
}

/// A string of JSON is a basic string of TOML.
fn quoted(path: &Path) -> Result<String> {
    Ok(serde_json::to_string(path)?)
}

/// Cargo builds the programs of the package under test only, so this asks it for the agent: of the same profile, and
/// with the features of the whole workspace, so that a test of all of it has compiled nearly everything before.
fn agent_executable() -> Result<PathBuf> {
    let beside = Path::new(COLLECTOR).with_file_name("orchestrator-agent");
    let folder = beside.parent().context("the collector is in no folder")?;
    let target = folder.parent().context("the collector is in no target directory")?;
    let profile =
        if folder.ends_with("debug") { "dev".as_ref() } else { folder.file_name().unwrap_or_default() };
    let mut cargo = Command::new(env!("CARGO"));
    cargo.args(["build", "--quiet", "--workspace", "--bin", "orchestrator-agent", "--profile"]).arg(profile);
    cargo.arg("--target-dir").arg(target).current_dir(env!("CARGO_MANIFEST_DIR"));
    let output = cargo.output().context("run cargo")?;
    ensure!(output.status.success(), "build the agent: {}", String::from_utf8_lossy(&output.stderr));
    ensure!(beside.is_file(), "the agent is not at {}", beside.display());
    Ok(beside)
}
