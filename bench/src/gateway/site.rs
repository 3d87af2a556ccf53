//! Simulated servers, and the three ways to them: directly, through nginx, and through the collector. The collector's are
//! servers of their own, of the same kind, so that nobody else meddles with its jobs.

use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;
use sim::{Comfy, Generation};

use super::nginx::Nginx;
use crate::stage::{self, Collector, Disk, Servers};

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Way {
    Direct,
    Nginx,
    Collector,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::Direct, Self::Nginx, Self::Collector];

    /// For people.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx",
            Self::Collector => "collector",
        }
    }
}

pub(super) struct Site {
    collector: Collector,
    nginx: Nginx,
    /// The collector's.
    behind: Servers,
    others: Servers,
}

impl Site {
    /// All servers are held: they begin no job.
    pub(super) fn start(servers: usize, generation: Generation, nginx: &Path, disk: &Disk) -> Result<Self> {
        let (behind, others) = (Servers::start(servers, generation)?, Servers::start(servers, generation)?);
        behind.comfy.iter().chain(&others.comfy).for_each(Comfy::hold);
        let nginx = Nginx::start(nginx, &others)?;
        Ok(Self { collector: Collector::start(&behind, disk)?, nginx, behind, others })
    }

    pub(super) fn servers(&self, way: Way) -> &[Comfy] {
        match way {
            Way::Direct | Way::Nginx => &self.others.comfy,
            Way::Collector => &self.behind.comfy,
        }
    }

    /// Where a client goes that wants this server; the collector chooses one itself.
    pub(super) fn address(&self, way: Way, server: usize) -> Result<SocketAddr> {
        let found = match way {
            Way::Direct => self.others.comfy.get(server).map(stage::address).transpose()?,
            Way::Nginx => self.nginx.addresses.get(server).copied(),
            Way::Collector => Some(self.collector.address()),
        };
        found.with_context(|| format!("there is no server {server}"))
    }

    /// The processes between client and server.
    pub(super) fn between(&self, way: Way) -> Result<Vec<u32>> {
        match way {
            Way::Direct => Ok(Vec::new()),
            Way::Nginx => self.nginx.processes(),
            Way::Collector => Ok(vec![self.collector.pid()]),
        }
    }
}
