//! A PostgreSQL of one's own on the disk under measurement, whose commits survive a power cut.

use anyhow::{Context, Result};
use sim::outside::{Found, Outside};
use sim::postgres::{Cluster, ClusterConfig};

use crate::stage::Disk;

/// Or why there is none: its programs are not part of this workspace.
pub(crate) fn start(disk: &Disk) -> Result<std::result::Result<Cluster, String>> {
    let found = match Outside::Postgres.find() {
        Ok(found) => found,
        Err(reason) => return Ok(Err(format!("PostgreSQL was not measured: {reason}"))),
    };
    let Found::Folders(folders) = found else { anyhow::bail!("{found:?} is no folder of programs") };
    let programs = folders.first().context("PostgreSQL's programs are in no folder")?;
    let config = ClusterConfig { durable: true, within: Some(disk.directory.clone()), ..Default::default() };
    Ok(Ok(Cluster::start(programs, config).context("start a PostgreSQL")?))
}
