//! What was learned of run and load times, as it is kept over restarts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::BackendId;
use crate::route::runs::Runs;
use crate::route::{LoadTimes, Slot};

/// What one attempt showed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Timing {
    /// From the start to the first step, where that was heard.
    pub load_seconds: Option<f64>,
    /// The rest, or all of it where nothing was believed to be loaded.
    pub run_seconds: f64,
    pub all_seconds: f64,
}

/// Additive: what any version wrote loads.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Learned {
    /// By which its times were counted; absent: one.
    pub(super) tempo: Option<f64>,
    pub(super) runs: Runs,
    pub(super) backends: BTreeMap<BackendId, OfBackend>,
}

/// How fast a backend runs and loads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct OfBackend {
    speed: f64,
    runs: u32,
    loads: LoadTimes,
}

impl Default for OfBackend {
    fn default() -> Self {
        Self::of(&Slot::default())
    }
}

impl OfBackend {
    pub(super) fn of(slot: &Slot) -> Self {
        Self { speed: slot.speed, runs: slot.runs, loads: slot.loads }
    }

    pub(super) fn tell(self, slot: &mut Slot) {
        (slot.speed, slot.runs, slot.loads) = (self.speed, self.runs, self.loads);
    }
}
