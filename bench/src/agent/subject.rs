//! The programs under measurement, and how each is started: the agent, and what it is measured beside.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use sim_nvml::Driver;
use tempfile::TempDir;

use crate::client::{Answer, Connection};
use crate::process::{LOOK_EVERY, PATIENCE, Program, binary, free_address};

/// The figures for people and programs; the only page that agent and Python node both have.
pub(super) const JSON: &str = "/orchestrator/metrics";
/// The page for Prometheus.
pub(super) const METRICS: &str = "/metrics";
const PYTHON_NODE: &str = include_str!("../../python_node.py");
/// What the simulated library shows.
const GPUS: usize = 2;

/// What a subject is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Role {
    Agent,
    NodeExporter,
    PythonNode,
}

/// A program under measurement, with the one connection over which it is scraped.
pub(super) struct Subject {
    pub(super) role: Role,
    /// GPUs that the simulated library shows it; 0: it is not given that library.
    pub(super) gpus: usize,
    pub(super) pages: &'static [&'static str],
    pub(super) program: Program,
    connection: Connection,
}

impl Subject {
    pub(super) fn agent(nvml: Option<&Nvml>) -> Result<Self> {
        let agent = binary("orchestrator-agent")?;
        Self::start(Role::Agent, nvml, &[JSON, METRICS], |address| {
            let mut command = Command::new(&agent);
            command.arg("--listen").arg(address.to_string());
            if let Some(nvml) = nvml {
                command.arg("--nvml-library").arg(nvml.library()).env(sim_nvml::VARIABLE, nvml.control());
            }
            command
        })
    }

    pub(super) fn node_exporter(program: &Path) -> Result<Self> {
        Self::start(Role::NodeExporter, None, &[METRICS], |address| {
            let mut command = Command::new(program);
            command.arg(format!("--web.listen-address={address}"));
            command
        })
    }

    pub(super) fn python_node(python: &Path, nvml: Option<&Nvml>) -> Result<Self> {
        let started = Self::start(Role::PythonNode, nvml, &[JSON], |address| {
            let mut command = Command::new(python);
            command.args(["-c", PYTHON_NODE]).arg(address.port().to_string());
            if let Some(nvml) = nvml {
                command.env("LD_LIBRARY_PATH", nvml.folder.path()).env(sim_nvml::VARIABLE, nvml.control());
            }
            command
        });
        started.context(
            "it needs psutil, aiohttp and nvidia-ml-py: python -m venv DIR; DIR/bin/pip install psutil aiohttp nvidia-ml-py",
        )
    }

    fn start(
        role: Role,
        nvml: Option<&Nvml>,
        pages: &'static [&'static str],
        command: impl Fn(SocketAddr) -> Command,
    ) -> Result<Self> {
        let address = free_address()?;
        let mut command = command(address);
        if nvml.is_none() {
            command.env_remove(sim_nvml::VARIABLE);
        }
        let program = Program::start(command, address, pages.first().copied().unwrap_or("/"))?;
        let connection = Connection::open(address)?;
        let mut subject = Self { role, gpus: nvml.map_or(0, |_| GPUS), pages, program, connection };
        if nvml.is_some() {
            subject.wait_for_gpu()?;
        }
        Ok(subject)
    }

    /// What was to be measured with GPUs must not be measured without.
    fn wait_for_gpu(&mut self) -> Result<()> {
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            let body = self.get(JSON)?.body;
            if String::from_utf8_lossy(&body).contains("gpu_name") {
                return Ok(());
            }
            thread::sleep(LOOK_EVERY);
        }
        bail!("{} shows no GPU of the simulated NVML within {PATIENCE:?}", self.name())
    }

    /// Its name for people.
    pub(super) fn name(&self) -> String {
        let program = match self.role {
            Role::Agent => "orchestrator-agent",
            Role::NodeExporter => "node_exporter",
            Role::PythonNode => "Python node",
        };
        match self.gpus {
            0 => program.to_owned(),
            gpus => format!("{program}, {gpus} GPUs"),
        }
    }

    pub(super) fn scrape(&mut self) -> Result<()> {
        for page in self.pages {
            self.get(page)?;
        }
        Ok(())
    }

    /// A server may close a connection on which nothing came for a while: then a new one, as Prometheus does it.
    pub(super) fn get(&mut self, page: &str) -> Result<Answer> {
        match self.connection.get(page) {
            Ok(answer) => answer.ok(),
            Err(_) => {
                self.connection = Connection::open(self.program.address)?;
                self.connection.get(page)?.ok()
            }
        }
    }
}

/// The simulated NVML in a folder of its own, under the name by which programs load it. It shows two GPUs that are well,
/// and a call costs next to nothing (none is logged, unlike by `sim_nvml::Control`), so that what is measured are its
/// callers.
pub(super) struct Nvml {
    folder: TempDir,
}

impl Nvml {
    const NAME: &str = "libnvidia-ml.so.1";

    /// # Errors
    /// It was not built.
    pub(super) fn install() -> Result<Self> {
        let library = sim_nvml::built()?;
        let folder = TempDir::with_prefix("bench-nvml-").context("make a temporary folder")?;
        symlink(library, folder.path().join(Self::NAME)).context("install the simulated NVML")?;
        let nvml = Self { folder };
        nvml.change(|_| {})?;
        Ok(nvml)
    }

    /// Commands it from now on: two GPUs, and what `edit` makes of them.
    pub(super) fn change(&self, edit: impl FnOnce(&mut Driver)) -> Result<()> {
        let mut driver = Driver::with_gpus(GPUS);
        edit(&mut driver);
        let fresh = self.folder.path().join("fresh");
        fs::write(&fresh, serde_json::to_vec(&driver)?).context("write the simulated NVML's file")?;
        fs::rename(&fresh, self.control()).context("replace the simulated NVML's file")
    }

    fn library(&self) -> PathBuf {
        self.folder.path().join(Self::NAME)
    }

    fn control(&self) -> PathBuf {
        self.folder.path().join("control.json")
    }
}
