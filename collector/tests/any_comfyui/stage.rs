//! What the scenarios play on: two real servers with an agent each, and a collector in front of them. Started once and
//! shared, since a server takes its time to start; a scenario that finds something dead gets it started again.

use std::time::Duration;

use anyhow::{Context, Result};
use sim::outside::Found;
use tempfile::TempDir;

use crate::client::Client;
use crate::ours::{Agent, Backend, Collector};
use crate::place::{Generation, Place};
use crate::server::Server;
use crate::wait::until;

/// Waits until the collector knows what both of its backends are.
pub(crate) async fn both_known(client: &Client) -> Result<()> {
    until("both servers in the fleet", Duration::from_secs(60), async || {
        let stats = client.get("/system_stats").await?;
        Ok((stats["devices"].as_array().context("no devices")?.len() == 2).then_some(()))
    })
    .await
}

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
        let client = server.client()?;
        let generation = Generation::of(&client).await?;
        Ok(Place::bare(client, generation))
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
        both_known(&client).await?;
        let [first, _] = &self.servers;
        let generation = Generation::of(&first.client()?).await?;
        Ok(Place::fleet(client, generation, self.servers.len()))
    }

    /// The collector, whatever there is of the servers that it is to use. Only now their ports are final.
    pub(crate) async fn start_collector(&mut self) -> Result<&Collector> {
        self.start_agents().await?;
        if !self.collector.as_mut().is_some_and(Collector::is_running) {
            self.start_collector_with("").await?;
        }
        self.collector()
    }

    /// Another one in the place of the one that runs, with a line more in its configuration.
    pub(crate) async fn start_collector_with(&mut self, line: &str) -> Result<&Collector> {
        self.collector = None;
        let folder = tempfile::tempdir_in(&self.folder)?.keep(); // goes away with the stage
        let backends = self.servers.iter().zip(&self.agents).map(|(server, agent)| Backend {
            name: server.name().to_owned(),
            url: server.url(),
            agent: agent.url.clone(),
        });
        self.collector = Some(Collector::start(folder, &backends.collect::<Vec<_>>(), line).await?);
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
