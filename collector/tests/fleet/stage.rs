//! A fleet of simulated servers and a collector in this process in front of it.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use collector::Collector;
use collector::config::{
    Access, Agents, Backend, Config, Database, Freeing, History, Interface, Log, LogFormat, Routing, Webhooks,
};
use sim::{Comfy, ComfyConfig, Generation, Outcome};
use tempfile::TempDir;

use super::client::Client;
use super::wait::until;

pub(crate) const BOTH: [Generation; 2] = [Generation::V0_8, Generation::V2024];
/// Backends by their place.
pub(crate) const NAMES: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A server that takes no time for anything but what it is held for.
pub(crate) fn quick(generation: Generation) -> ComfyConfig {
    ComfyConfig { generation, speed: 0.0, ..ComfyConfig::default() }
}

pub(crate) async fn comfy(generation: Generation) -> Comfy {
    Comfy::start(quick(generation)).await.unwrap()
}

pub(crate) struct Stage {
    pub(crate) comfys: Vec<Comfy>,
    pub(crate) client: Client,
    collector: Collector,
    pub(crate) state: TempDir,
}

impl Stage {
    /// So many servers of a generation, all ready to take jobs.
    pub(crate) async fn of(generation: Generation, servers: usize) -> Self {
        let mut comfys = Vec::new();
        for _ in 0..servers {
            comfys.push(comfy(generation).await);
        }
        let stage = Self::before(comfys, |_| {}).await;
        stage.all_take_jobs().await;
        stage
    }

    /// Before servers that may be down; `change` may alter the configuration.
    pub(crate) async fn before(comfys: Vec<Comfy>, change: impl FnOnce(&mut Config)) -> Self {
        let state = tempfile::tempdir().unwrap();
        let mut config = config(&comfys, &state);
        change(&mut config);
        let collector = Collector::start(config).await.unwrap();
        let client = Client::new(&format!("http://{}", collector.address()), "me");
        Self { comfys, client, collector, state }
    }

    pub(crate) async fn all_take_jobs(&self) {
        for name in &NAMES[..self.comfys.len()] {
            takes_jobs(&self.client, name, true).await;
        }
    }

    /// Where the web interface is, if it has an address of its own.
    pub(crate) fn interface_address(&self) -> Option<SocketAddr> {
        self.collector.interface_address()
    }

    /// Another client of the same collector.
    pub(crate) fn another(&self, id: &str) -> Client {
        Client::new(&self.client.url, id)
    }

    /// How often a job was begun on any backend, by its mark.
    pub(crate) fn runs_of(&self, job: &str) -> usize {
        self.comfys.iter().map(|comfy| outcomes_of(comfy, job).len()).sum()
    }
}

/// Waits until a backend takes jobs, or no longer does.
pub(crate) async fn takes_jobs(client: &Client, name: &str, wanted: bool) {
    let ask = async || {
        let fleet = client.get("/orchestrator/v1/backends").await;
        let backends = fleet["backends"].as_array().unwrap();
        backends.iter().any(|b| b["id"] == name && b["takes_jobs"] == wanted).then_some(())
    };
    until(&format!("backend {name} has takes_jobs = {wanted}"), ask).await;
}

/// How the runs of a job on a backend ended.
pub(crate) fn outcomes_of(comfy: &Comfy, job: &str) -> Vec<Outcome> {
    let state = comfy.state();
    let runs = state.runs.iter().filter(|run| run.extra_data["orchestrator"]["job"] == job);
    runs.map(|run| run.outcome).collect()
}

fn config(comfys: &[Comfy], state: &TempDir) -> Config {
    let backends = comfys.iter().zip(NAMES).map(|(comfy, name)| {
        let url: url::Url = comfy.url().parse().unwrap();
        Backend { id: name.parse().unwrap(), url: url.clone(), agent: url, tags: BTreeSet::new() }
    });
    Config {
        listen: ([127, 0, 0, 1], 0).into(),
        backends: backends.collect(),
        agents: Agents::default(),
        access: Access::default(),
        webhooks: Webhooks::default(),
        traces: None,
        interface: Interface::default(),
        database: Database::default(),
        peers: None,
        state_directory: state.path().to_owned(),
        poll_interval: Duration::from_millis(50),
        freeing: Freeing {
            after_idle: None,
            for_others: None,
            below_host_memory: None,
            after_out_of_memory: true,
            before_jobs: true,
        },
        routing: Routing::default(),
        rerun_after_unreachable: None,
        history: History::default(),
        archive: None,
        max_body_bytes: 1 << 20,
        log: Log { filter: "info".to_owned(), format: LogFormat::Text },
    }
}
