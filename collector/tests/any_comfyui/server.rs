//! A real ComfyUI of any version: its folders, its port, its start and its end. Nothing is written into the folder of
//! the program itself.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use sim::outside::Found;

use crate::client::Client;
use crate::program::Program;
use crate::wait::until;

/// Two at once on two slow cores, from a disk that has not read torch yet.
const START_LIMIT: Duration = Duration::from_secs(240);

/// Where the test nodes are: a folder of custom nodes.
const TEST_NODES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../.ci/comfyui/test_nodes");

pub(crate) struct Server {
    name: String,
    directory: PathBuf,
    python: PathBuf,
    /// Its own folders and its log.
    folder: PathBuf,
    port: u16,
    program: Option<Program>,
}

impl Server {
    /// One that is not started yet, with a port of its own and everything that it writes under `folder`.
    pub(crate) fn new(name: &str, found: &Found, folder: PathBuf) -> Result<Self> {
        let Found::Comfyui { directory, python } = found else { bail!("not a ComfyUI: {found:?}") };
        for own in ["output", "input", "temp", "user"] {
            fs::create_dir_all(folder.join(own))?;
        }
        let nodes = fs::canonicalize(TEST_NODES).with_context(|| format!("find {TEST_NODES}"))?;
        let nodes = serde_json::to_string(&nodes)?; // JSON is YAML
        fs::write(folder.join("extra_model_paths.yaml"), format!("test:\n    custom_nodes: {nodes}\n"))?;
        Ok(Self {
            name: name.to_owned(),
            directory: directory.clone(),
            python: python.clone(),
            folder,
            port: free_port()?,
            program: None,
        })
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    pub(crate) fn client(&self) -> Result<Client> {
        Client::new(&self.url())
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.program.as_mut().is_some_and(Program::is_running)
    }

    /// Starts it if it does not run. It is not ready when this returns: see [`Server::ready`].
    pub(crate) fn start(&mut self) -> Result<()> {
        if !self.is_running() {
            let log = self.folder.join("log");
            self.program = Some(Program::start(&self.name, &mut self.command()?, &log)?);
        }
        Ok(())
    }

    /// Waits until it answers. Where another program was quicker to take its port, it gets another one, unless the
    /// port is already known to others.
    pub(crate) async fn ready(&mut self, port_is_known: bool) -> Result<()> {
        for _ in 0..3 {
            if self.answers().await? {
                return Ok(());
            }
            ensure!(self.port_was_taken(), "{} ended at its start\n{}", self.name, self.last_words());
            self.port = if port_is_known { self.port } else { free_port()? };
            self.start()?;
        }
        bail!("no free port for {}", self.name)
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.program.take().map_or(Ok(()), |mut program| program.kill())
    }

    /// What it has written since its last start.
    pub(crate) fn output(&self) -> String {
        self.program.as_ref().map_or_else(String::new, Program::output)
    }

    pub(crate) fn last_words(&self) -> String {
        self.program.as_ref().map_or_else(String::new, Program::last_words)
    }

    /// True: it answers. False: it has ended.
    async fn answers(&mut self) -> Result<bool> {
        let client = self.client()?;
        let what = format!("an answer of {} at {}", self.name, self.url());
        until(&what, START_LIMIT, async || {
            if !self.is_running() {
                return Ok(Some(false));
            }
            client.get("/system_stats").await.map(|_| Some(true))
        })
        .await
        .with_context(|| self.last_words())
    }

    fn port_was_taken(&self) -> bool {
        self.last_words().contains("address already in use")
    }

    fn command(&self) -> Result<Command> {
        let own = |name: &str| self.folder.join(name);
        let mut command = self.python();
        command.args(["--cpu", "--listen", "127.0.0.1", "--port", &self.port.to_string()]);
        command.arg("--output-directory").arg(own("output"));
        command.arg("--input-directory").arg(own("input"));
        command.arg("--temp-directory").arg(own("temp"));
        command.arg("--extra-model-paths-config").arg(own("extra_model_paths.yaml"));
        for (flag, value) in self.newer_flags()? {
            command.arg(flag);
            command.args(value);
        }
        Ok(command)
    }

    /// What later versions have besides, and write into their own folder if not told otherwise.
    fn newer_flags(&self) -> Result<Vec<(&'static str, Option<String>)>> {
        let user = self.folder.join("user");
        let help = self.python().arg("--help").output().context("ask ComfyUI for its flags")?;
        let help = String::from_utf8_lossy(&help.stdout).into_owned();
        let mut flags = vec![
            ("--user-directory", Some(text(&user)?)),
            ("--database-url", Some(format!("sqlite:///{}", text(&user.join("comfyui.db"))?))),
            ("--disable-api-nodes", None),
        ];
        flags.retain(|(flag, _)| help.contains(flag));
        Ok(flags)
    }

    fn python(&self) -> Command {
        let mut command = Command::new(&self.python);
        command.current_dir(&self.directory).arg("main.py");
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1").env("HF_HUB_OFFLINE", "1");
        command
    }
}

fn text(path: &Path) -> Result<String> {
    path.to_str().map(str::to_owned).with_context(|| format!("{} is not UTF-8", path.display()))
}

/// A port that nobody listens on, below those that Linux gives to outgoing connections (32768 and up): while a killed
/// server is away, such a connection could take its port, and even connect to itself.
fn free_port() -> Result<u16> {
    let random = RandomState::new();
    (0..1000_u32)
        .map(|attempt| 20_000 + u16::try_from(random.hash_one(attempt) % 12_000).unwrap_or_default())
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .context("find a free port between 20000 and 32000")
}
