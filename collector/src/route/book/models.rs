//! Models by name: what the router knows as numbers.

use std::collections::BTreeSet;

use super::Book;
use crate::id::BackendId;
#[cfg(test)]
use crate::job;
use crate::job::Job;
use crate::limits;
#[cfg(test)]
use crate::route::Asset;
use crate::route::key::AssetId;

impl Book {
    /// It was started anew, or told to free what it holds.
    pub fn forget_models(&mut self, backend: &BackendId) {
        if let Some(slot) = self.slots.get(backend) {
            self.router.forget_memory(*slot);
        }
    }

    /// The models that a backend is believed to have in VRAM.
    pub fn models_of(&self, backend: &BackendId) -> BTreeSet<String> {
        let slot = self.slots.get(backend).and_then(|slot| self.router.slot(*slot));
        let ids = slot.into_iter().flat_map(|slot| slot.memory.in_vram());
        ids.filter_map(|id| self.names.get(&id)).map(|name| name.to_string()).collect()
    }

    pub(super) fn name_models(&mut self, job: &Job) {
        if self.names.len() > self.names_most {
            let waiting = self.kinds.values().flat_map(|sample| &sample.job.needs.assets);
            let mut named: BTreeSet<AssetId> =
                waiting.map(|asset| AssetId::of([asset.name.as_str()])).collect();
            named.extend(self.router.slots.iter().flat_map(|slot| slot.memory.in_vram()));
            self.names.retain(|id, _| named.contains(id));
            self.names_most = limits::MODELS_IN_DEMAND.max(2 * self.names.len());
        }
        for asset in &job.needs.assets {
            let id = AssetId::of([asset.name.as_str()]);
            self.names.entry(id).or_insert_with(|| asset.name.as_str().into());
        }
    }

    /// A backend holds these models now, and no others.
    #[cfg(test)]
    pub(crate) fn believe(&mut self, backend: &BackendId, models: &BTreeSet<String>) {
        let assets = models.iter().map(|name| job::Asset {
            node: "1".into(),
            class: "C".into(),
            input: "model".into(),
            name: name.clone(),
        });
        let needs = job::Needs { assets: assets.collect(), ..job::Needs::default() };
        let held: Vec<Asset> = needs.assets.iter().map(|asset| self.sizes.asset(asset)).collect();
        for (asset, held) in needs.assets.iter().zip(&held) {
            self.names.insert(held.id, asset.name.as_str().into());
        }
        let slot = self.slot_of(backend);
        self.router.use_models(slot, &held);
    }
}
