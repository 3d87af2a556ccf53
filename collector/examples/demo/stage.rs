//! Starts what the demo shows: the servers, simulated or given, and the collector in front of them.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use anyhow::{Context, Result};
use collector::config::{Backend, BackendUrl, Config, DatabaseFlags, ServeFlags};
use collector::{Collector, StartError};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig};
use url::Url;

use crate::jobs;

const SERVERS: usize = 3;
const VRAM_BYTES: u64 = 24 << 30;
/// The collector's usual one.
pub(crate) const PORT: u16 = 8288;

/// All that runs. The simulated servers end when it is dropped.
pub(crate) struct Stage {
    pub(crate) collector: Collector,
    /// Of the collector.
    pub(crate) url: Url,
    pub(crate) backends: Vec<Backend>,
    simulated: Vec<Simulated>,
}

struct Simulated {
    backend: Backend,
    server: Comfy,
    _agent: Agent,
}

impl Stage {
    /// Simulated servers where none are given.
    pub(crate) async fn set(given: &[BackendUrl], state: &Path) -> Result<Self> {
        let mut simulated = Vec::new();
        if given.is_empty() {
            for number in 1..=SERVERS {
                simulated.push(Simulated::start(number).await?);
            }
        }
        // What a file or the command line would tell the collector; the environment is not asked.
        let flags = ServeFlags {
            backend: given.to_vec(),
            database: DatabaseFlags { state_directory: Some(state.to_owned()), ..DatabaseFlags::default() },
            ..ServeFlags::default()
        };
        let mut config = Config::load(flags)?;
        if given.is_empty() {
            config.backends = simulated.iter().map(|one| one.backend.clone()).collect();
        }
        let backends = config.backends.clone();
        let collector = start(config).await?;
        let url = format!("http://{}", collector.address()).parse()?;
        Ok(Self { collector, url, backends, simulated })
    }

    /// How often a backend loaded a model; only simulated ones tell.
    pub(crate) fn model_loads(&self, backend: &str) -> Option<u64> {
        let one = self.simulated.iter().find(|one| one.backend.id.as_str() == backend)?;
        Some(one.server.counters().all_loads())
    }
}

/// On the collector's usual port, or on any that is free.
async fn start(config: Config) -> Result<Collector> {
    let at = |port| Config { listen: SocketAddr::from((Ipv4Addr::LOCALHOST, port)), ..config.clone() };
    let started = match Collector::start(at(PORT)).await {
        Err(StartError::Listen { .. }) => Collector::start(at(0)).await,
        started => started,
    };
    started.context("the collector cannot start")
}

impl Simulated {
    async fn start(number: usize) -> Result<Self> {
        let config = ComfyConfig {
            models: jobs::MODELS.map(str::to_owned).to_vec(),
            device_name: "cuda:0 Simulated GPU".to_owned(),
            vram_bytes: VRAM_BYTES,
            ..ComfyConfig::default()
        };
        let server = Comfy::start(config).await?;
        let beside = Some(server.clone());
        let agent = Agent::start(AgentConfig { beside, ..AgentConfig::default() }).await?;
        let id = format!("sim-{number}").parse()?;
        let (url, its_agent) = (server.url().parse()?, agent.url().parse()?);
        let backend = Backend { id, url, agent: its_agent, tags: BTreeSet::new() };
        Ok(Self { backend, server, _agent: agent })
    }
}
