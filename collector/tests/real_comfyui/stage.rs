//! What the scenarios play on: two real servers with an agent each, and a collector in front of them. Started once and
//! shared, since a server takes its time to start; a scenario that finds something dead gets it started again.

use std::time::Duration;

use anyhow::{Context, Result};
use sim::outside::Found;
use tempfile::TempDir;

use crate::any_comfyui::Place;
use crate::ours::{Agent, Collector};
use crate::server::Server;
use crate::wait::until;

pub(crate) struct Stage {
    pub(crate) collector: Option<Collector>,
    pub(crate) agents: Vec<Agent>,
    pub(crate) servers: [Server; 2],
    // The last field: removed when nobody writes there any more.
    folder: TempDir,
}

impl Stage {
    /// Nothing runs yet.
    pub(crate) fn new(found: &Found) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        let server = |name: &str| Server::new(name, found, folder.path().join(name));
        let servers = [server("a")?, server("b")?];
        Ok(Self { collector: None, agents: Vec::new(), servers, folder })
    }

    /// One of the servers, without anything of ours.
    pub(crate) async fn bare(&mut self) -> Result<Place> {
        let [server, _] = &mut self.servers;
        server.start()?;
        server.ready(!self.agents.is_empty()).await?;
        Ok(Place { client: server.client()?, lanes: 1 })
    }

    /// The collector, with both servers known to it.
    pub(crate) async fn fleet(&mut self) -> Result<Place> {
        let ports_are_known = !self.agents.is_empty();
        for server in &mut self.servers {
            server.start()?;
        }
        for server in &mut self.servers {
            server.ready(ports_are_known).await?;
        }
        let client = self.start_collector().await?.client()?;
        until("both servers in the fleet", Duration::from_secs(60), async || {
            let stats = client.get("/system_stats").await?;
            let devices = stats["devices"].as_array().context("no devices")?;
            Ok((devices.len() == self.servers.len()).then_some(()))
        })
        .await?;
        Ok(Place { client, lanes: self.servers.len() })
    }

    /// The collector, whatever there is of the servers that it is to use. Only now their ports are final.
    pub(crate) async fn start_collector(&mut self) -> Result<&Collector> {
        self.start_agents().await?;
        if !self.collector.as_mut().is_some_and(Collector::is_running) {
            let folder = tempfile::tempdir_in(&self.folder)?.keep(); // goes away with the stage
            self.collector = Some(Collector::start(folder, &self.servers, &self.agents).await?);
        }
        self.collector()
    }

    pub(crate) fn collector(&self) -> Result<&Collector> {
        self.collector.as_ref().context("no collector is running")
    }

    pub(crate) fn collector_mut(&mut self) -> Result<&mut Collector> {
        self.collector.as_mut().context("no collector is running")
    }

    async fn start_agents(&mut self) -> Result<()> {
        while self.agents.len() < self.servers.len() {
            let server = self.servers.get(self.agents.len()).context("more agents than servers")?;
            let folder = self.folder.path().join(server.name());
            self.agents.push(Agent::start(server, &folder).await?);
        }
        Ok(())
    }

    /// What a person wants to see when a scenario has failed.
    pub(crate) fn last_words(&self) -> String {
        let servers = self.servers.iter().map(Server::last_words);
        let agents = self.agents.iter().map(Agent::last_words);
        servers
            .chain(agents)
            .chain(self.collector.iter().map(Collector::last_words))
            .collect::<Vec<_>>()
            .join("\n")
    }
}
