//! What the disk itself takes for one durable write: the least that a durable queue can cost.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::figures::Rounds;
use crate::output::Table;
use crate::stage::Disk;

/// A page of SQLite's.
const PAGE_BYTES: usize = 4096;
/// Pages after which SQLite writes its log from the beginning again.
const LOG_PAGES: usize = 1000;
const WRITES: usize = 200;

/// Writes of one page, each followed by `fsync`, with which SQLite ends a commit to its log.
#[derive(Debug, Serialize)]
pub(crate) struct DurableWrite {
    /// To the end of a file that grows.
    pub(crate) appended: Rounds,
    /// Over what is there, as in a log that is used again.
    pub(crate) overwritten: Rounds,
}

/// The same, gathered round by round, so that the disk is measured while it serves what it is compared with.
#[derive(Debug, Default)]
pub(crate) struct Probe {
    appended: Vec<Vec<Duration>>,
    overwritten: Vec<Vec<Duration>>,
}

impl Probe {
    pub(crate) fn round(&mut self, disk: &Disk) -> Result<()> {
        let folder = disk.folder()?;
        let path = folder.path().join("log");
        let mut file = File::create(&path).with_context(|| format!("create {}", path.display()))?;
        self.appended.push(writes(&mut file).context("append to a file")?);
        file.write_all(&vec![0; PAGE_BYTES * LOG_PAGES]).context("fill a file")?;
        file.sync_all().context("fill a file")?;
        file.seek(SeekFrom::Start(0)).context("go back to a file's beginning")?;
        self.overwritten.push(writes(&mut file).context("overwrite a file")?);
        Ok(())
    }

    /// `None` before the first round.
    pub(crate) fn found(self) -> Option<DurableWrite> {
        Some(DurableWrite {
            appended: Rounds::of(self.appended)?,
            overwritten: Rounds::of(self.overwritten)?,
        })
    }
}

impl DurableWrite {
    pub(crate) fn table(&self) -> Table {
        let title =
            "One durable write of 4 KiB (write, fsync) to the same disk: the least that a commit takes";
        let mut table = Table::new(title, &["write", "p50", "p99", "max"]);
        for (name, write) in [("appended", self.appended), ("overwritten", self.overwritten)] {
            table.row([name.to_owned()].into_iter().chain(write.cells()));
        }
        table
    }
}

fn writes(file: &mut File) -> std::io::Result<Vec<Duration>> {
    let page = vec![7; PAGE_BYTES];
    let write = |_| {
        let began = Instant::now();
        file.write_all(&page)?;
        file.sync_all()?;
        Ok(began.elapsed())
    };
    (0..WRITES).map(write).collect()
}
