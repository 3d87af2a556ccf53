//! A backend in the router's numbers: what it may be given, and how much it keeps in memory.

use std::collections::BTreeSet;
use std::sync::Arc;

use report::ModelFile;

use crate::clock::UnixMillis;
use crate::fleet::{Backend, Catalog};
use crate::id::{BackendId, Tag};
use crate::route::memory::Keeps;
use crate::route::tempo::Tempo;
use crate::route::{Candidate, GpuClass, Refusal, Standing};

/// Share of the GPU's memory that models may fill: ComfyUI keeps the rest for what it computes. Large GPUs keep a lesser one.
const VRAM_FILLED: f64 = 0.85;
const LARGE_VRAM_FILLED: f64 = 0.95;
const LARGE_GIGABYTES: f64 = 79.0;
/// Share of main memory in which files stay that were read.
const RAM_FILLED: f64 = 0.7;

/// What the router knows of a backend's place, and what that was worked out from.
#[derive(Clone, Debug, Default)]
pub(super) struct Seat {
    /// `None`: vacant.
    pub backend: Option<BackendId>,
    /// Where it stands among the candidates.
    pub at: usize,
    pub offer: Offer,
    pub shape: Shape,
    pub models: Option<Arc<[ModelFile]>>,
}

/// What decides which jobs may run there, whatever it does now: where that is the same the answer is, too.
#[derive(Clone, Debug, Default)]
pub(super) struct Offer {
    catalog: Option<Arc<Catalog>>,
    tags: BTreeSet<Tag>,
    class: Option<GpuClass>,
    available_bytes: Option<u64>,
    others_bytes: Option<u64>,
}

/// How much a backend keeps in VRAM and RAM, in gigabytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub vram_gigabytes: f64,
    pub ram_gigabytes: f64,
    pub keeps: Keeps,
}

impl Offer {
    pub(super) fn of(candidate: &Candidate) -> Self {
        Self {
            catalog: candidate.backend.catalog.clone(),
            tags: candidate.backend.tags.clone(),
            class: candidate.room.class.clone(),
            available_bytes: candidate.room.available_bytes,
            others_bytes: candidate.room.others_bytes,
        }
    }
}

impl PartialEq for Offer {
    fn eq(&self, other: &Self) -> bool {
        let same_catalog = match (&self.catalog, &other.catalog) {
            (Some(one), Some(other)) => Arc::ptr_eq(one, other),
            (one, other) => one.is_none() && other.is_none(),
        };
        let memory = |offer: &Self| (offer.available_bytes, offer.others_bytes);
        same_catalog && self.tags == other.tags && self.class == other.class && memory(self) == memory(other)
    }
}

impl Shape {
    pub(super) fn of(backend: &Backend) -> Self {
        let stats = backend.stats.as_ref().map(|read| &read.value);
        let gigabytes = |bytes: Option<u64>| bytes.map_or(0.0, |bytes| bytes as f64 / 1e9);
        let vram = gigabytes(stats.and_then(|stats| stats.devices.first()?.vram_total));
        let filled = if vram > LARGE_GIGABYTES { LARGE_VRAM_FILLED } else { VRAM_FILLED };
        let arguments = stats.and_then(|stats| stats.system.argv.as_deref()).unwrap_or_default();
        // Without these it drops what the prompt that it runs does not name.
        let keeps = arguments
            .iter()
            .any(|argument| ["--cache-lru", "--cache-ram"].iter().any(|cache| argument.starts_with(cache)));
        let (keeps, vram_gigabytes) = match keeps {
            true => (Keeps::WhatFits, filled * vram),
            // Of one job all is there, be it more than fits at once: ComfyUI sees to that.
            false => (Keeps::Nothing, f64::INFINITY),
        };
        let ram_gigabytes = RAM_FILLED * gigabytes(stats.and_then(|stats| stats.system.ram_total));
        Self { vram_gigabytes, ram_gigabytes, keeps }
    }
}

/// `foreign_seconds`: what a prompt of others is expected to run.
pub(super) fn standing(
    candidate: &Candidate,
    foreign_seconds: f64,
    now: UnixMillis,
    tempo: Tempo,
) -> Standing {
    if Refusal::of(candidate, now).is_some() {
        return Standing::Closed;
    }
    let others_seconds = candidate.foreign as f64 * foreign_seconds;
    if candidate.residual_seconds.is_none() && candidate.foreign == 0 {
        return Standing::Idle;
    }
    let since = tempo.at(now);
    let until = since + tempo.of(candidate.residual_seconds.unwrap_or(0.0) + others_seconds);
    Standing::Busy { since, until }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::fleet::Read;
    use crate::route::tests::{NOW, backend};

    #[test]
    fn a_backend_keeps_models_of_earlier_jobs_only_where_it_was_started_to() {
        let shape = |arguments: &[&str], vram_gigabytes: u64| {
            let stats = json!({
                "system": {"argv": arguments, "ram_total": 100_000_000_000_u64},
                "devices": [{"name": "G", "type": "cuda", "vram_total": vram_gigabytes * 1_000_000_000}],
            });
            let mut backend = backend("a");
            backend.stats = Some(Read { at: NOW, value: Arc::new(serde_json::from_value(stats).unwrap()) });
            Shape::of(&backend)
        };
        let nothing = Shape { vram_gigabytes: f64::INFINITY, ram_gigabytes: 70.0, keeps: Keeps::Nothing };
        assert_eq!(shape(&["main.py", "--listen"], 20), nothing);
        for (arguments, vram_gigabytes, filled) in
            [(["main.py", "--cache-lru=9"], 20, 17.0), (["--cache-ram", "8"], 80, 76.0)]
        {
            let wanted = Shape { vram_gigabytes: filled, keeps: Keeps::WhatFits, ..nothing };
            assert_eq!(shape(&arguments, vram_gigabytes), wanted);
        }
        let unknown = Shape { ram_gigabytes: 0.0, ..nothing };
        assert_eq!(Shape::of(&backend("a")), unknown);
    }
}
