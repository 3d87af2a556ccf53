//! The control file: what the library answers, and how it misbehaves.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::failure::{Answer, Failure};
use crate::gpu::Gpu;

/// Stands for every symbol.
const ALL: &str = "*";

/// A driver and its machine, as a control file describes them. Symbols are C names (`nvmlDeviceGetName`), and `*`
/// means every one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Driver {
    /// The version of the loaded kernel module. A library of another version answers `LIB_RM_VERSION_MISMATCH`.
    pub driver_version: String,
    /// 1000 × major + 10 × minor.
    pub cuda_version: u32,
    /// In the order of their indices.
    pub gpus: Vec<Gpu>,
    /// What fails, by symbol.
    pub fail: BTreeMap<String, Failure>,
    /// Symbols whose calls do not return until they are taken out of here, or the file is gone.
    pub hang: BTreeSet<String>,
    /// Milliseconds that a call waits before anything else, by symbol.
    pub delay_ms: BTreeMap<String, u64>,
    /// Where every call leaves a line with its symbol, and `hanging <symbol>` when it begins to hang.
    pub calls: Option<PathBuf>,
    /// All XID events so far, in the order of their ids.
    pub events: Vec<Event>,
}

/// An XID error that a GPU reported.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Event {
    /// Higher than that of every event before; the first is 1.
    pub id: u64,
    /// The GPU's index.
    pub gpu: usize,
    /// The number of the error.
    pub xid: u64,
}

impl Driver {
    /// A driver with so many GPUs, idle and well.
    pub fn with_gpus(count: usize) -> Self {
        Self { gpus: (0..count).map(Gpu::new).collect(), ..Self::default() }
    }

    /// Adds an XID event after those that are there.
    pub fn report_xid(&mut self, gpu: usize, xid: u64) {
        self.events.push(Event { id: self.last_event() + 1, gpu, xid });
    }

    pub(crate) fn last_event(&self) -> u64 {
        self.events.iter().map(|event| event.id).max().unwrap_or(0)
    }

    pub(crate) fn hangs(&self, symbol: &str) -> bool {
        self.hang.contains(symbol) || self.hang.contains(ALL)
    }

    pub(crate) fn delay(&self, symbol: &str) -> Duration {
        Duration::from_millis(of(&self.delay_ms, symbol).unwrap_or(0))
    }

    pub(crate) fn allows(&self, symbol: &str) -> Answer<()> {
        allowed(&self.fail, symbol)
    }
}

impl Default for Driver {
    fn default() -> Self {
        Self {
            driver_version: "550.54.14".to_owned(),
            cuda_version: 12_040,
            gpus: Vec::new(),
            fail: BTreeMap::new(),
            hang: BTreeSet::new(),
            delay_ms: BTreeMap::new(),
            calls: None,
            events: Vec::new(),
        }
    }
}

/// # Errors
/// The one that `fail` names for this symbol.
pub(crate) fn allowed(fail: &BTreeMap<String, Failure>, symbol: &str) -> Answer<()> {
    of(fail, symbol).map_or(Ok(()), Err)
}

fn of<T: Copy>(by_symbol: &BTreeMap<String, T>, symbol: &str) -> Option<T> {
    by_symbol.get(symbol).or_else(|| by_symbol.get(ALL)).copied()
}
