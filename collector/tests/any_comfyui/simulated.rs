//! The same places without anything installed: simulated servers in this process, and a collector in front of two.

use anyhow::Result;
use sim::{Comfy, ComfyConfig};
use tempfile::TempDir;

use crate::client::Client;
use crate::ours::{Backend, Collector};
use crate::place::{Generation, Place};
use crate::stage::both_known;

/// Of one generation; everything is started when a scenario first needs it.
pub(crate) struct Simulated {
    generation: Generation,
    bare: Option<Comfy>,
    fleet: Option<(Collector, [Comfy; 2])>,
    folder: TempDir,
}

impl Simulated {
    pub(crate) fn new(generation: Generation) -> Result<Self> {
        Ok(Self { generation, bare: None, fleet: None, folder: tempfile::tempdir()? })
    }

    pub(crate) async fn bare(&mut self) -> Result<Place> {
        let server = match &self.bare {
            Some(server) => server,
            None => self.bare.insert(self.server().await?),
        };
        Ok(Place::bare(Client::new(&server.url())?, self.generation))
    }

    pub(crate) async fn fleet(&mut self) -> Result<Place> {
        let (collector, servers) = match &self.fleet {
            Some(fleet) => fleet,
            None => self.fleet.insert(self.started().await?),
        };
        Ok(Place::fleet(collector.client()?, self.generation, servers.len()))
    }

    async fn started(&self) -> Result<(Collector, [Comfy; 2])> {
        let servers = [self.server().await?, self.server().await?];
        let backends = servers.iter().zip(["a", "b"]).map(|(server, name)| Backend {
            name: name.to_owned(),
            url: server.url(),
            agent: server.url(),
        });
        let collector =
            Collector::start(self.folder.path().to_owned(), &backends.collect::<Vec<_>>(), "").await?;
        both_known(&collector.client()?).await?;
        Ok((collector, servers))
    }

    async fn server(&self) -> Result<Comfy> {
        let generation = match self.generation {
            Generation::Old => sim::Generation::V2024,
            Generation::Current => sim::Generation::V0_8,
        };
        Ok(Comfy::start(ComfyConfig { generation, ..ComfyConfig::default() }).await?)
    }

    /// What a person wants to see when a scenario has failed.
    pub(crate) fn last_words(&self) -> String {
        self.fleet.as_ref().map_or_else(String::new, |(collector, _)| collector.last_words())
    }
}
