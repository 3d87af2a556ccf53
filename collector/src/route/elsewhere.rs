//! What other backends could do for a group: whether waiting for one that holds its model beats a load here.

use super::key::{AssetId, SlotId};
use super::memory::{Asset, Tier};
use super::round::Context;
use super::router::{Known, Router};
use super::slot::{Slot, Standing};
use super::waiting::Group;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Elsewhere {
    /// Backends with the model in VRAM, and in how many seconds the first of them is expected to be idle.
    pub hot: usize,
    pub hot_seconds: f64,
    pub hot_slot: Option<SlotId>,
    /// In how many seconds a busy backend that has it in RAM is expected to have it in VRAM.
    pub warm_seconds: f64,
    pub warm_slot: Option<SlotId>,
}

/// Why a backend does not load a model, with whom it is left to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Better {
    Hot { slot: SlotId, seconds: f64 },
    Warm { slot: SlotId, seconds: f64 },
}

/// The open backends but this one that hold a model.
fn holders(router: &Router, id: SlotId, model: AssetId) -> impl Iterator<Item = (SlotId, &Slot, Tier)> {
    let holders = router.holders.get(&model).map_or(&[][..], Vec::as_slice);
    let others = holders.iter().filter(move |(slot, _)| *slot != id);
    let slots = others.filter_map(|(slot, tier)| Some((*slot, router.slot(*slot)?, *tier)));
    slots.filter(|(_, slot, _)| slot.is_open())
}

/// Those of them that may run such jobs.
fn others<'a>(
    router: &'a Router,
    id: SlotId,
    known: &'a Known,
    main: AssetId,
) -> impl Iterator<Item = (SlotId, &'a Slot, Tier)> {
    holders(router, id, main).filter(|(slot, ..)| known.may_run_on(*slot))
}

/// Whether another backend has a model in VRAM.
pub(super) fn is_hot(router: &Router, id: SlotId, known: &Known, main: AssetId) -> bool {
    others(router, id, known, main).any(|(.., tier)| tier == Tier::Vram)
}

/// What loading a model takes where another holds it, in this backend's seconds.
pub(super) fn cheapest(router: &Router, id: SlotId, here: &Slot, known: &Known, main: Asset) -> f64 {
    let mut nearest = Tier::Disk;
    for (_, _, tier) in others(router, id, known, main.id) {
        nearest = nearest.min(tier);
        if nearest == Tier::Vram {
            break;
        }
    }
    here.loads.seconds(main, nearest)
}

impl Elsewhere {
    pub(super) fn of(
        router: &Router,
        context: &Context,
        id: SlotId,
        known: &Known,
        main: Asset,
        here: f64,
    ) -> Self {
        let nobody = Self {
            hot: 0,
            hot_seconds: f64::INFINITY,
            hot_slot: None,
            warm_seconds: f64::INFINITY,
            warm_slot: None,
        };
        others(router, id, known, main.id).fold(nobody, |mut found, (slot, state, tier)| {
            let residual = state.residual(context.now);
            let is_busy = matches!(state.standing, Standing::Busy { .. });
            match tier {
                Tier::Vram => {
                    found.hot += 1;
                    if residual < found.hot_seconds {
                        (found.hot_seconds, found.hot_slot) = (residual, Some(slot));
                    }
                }
                Tier::Ram if is_busy => {
                    let load = state.loads.seconds(main, tier);
                    if load < here && residual + load < found.warm_seconds {
                        (found.warm_seconds, found.warm_slot) = (residual + load, Some(slot));
                    }
                }
                Tier::Ram | Tier::Disk => {}
            }
            found
        })
    }

    /// Whether the group is better left to those who hold its model: the more jobs of others wait, the more a load costs
    /// them all, and the longer it is worth to wait.
    pub(super) fn better(
        &self,
        router: &Router,
        context: &Context,
        group: &Group,
        load_seconds: f64,
        run_seconds: f64,
    ) -> Option<Better> {
        let (policy, waiting) = (&router.policy, router.waiting.len());
        let others = waiting.saturating_sub(group.len()) as f64 / context.open_slots;
        let patience =
            policy.patience_hot * (1.0 + policy.pressure_hot * others).min(policy.pressure_hot_most);
        let drained = self.hot_seconds + (group.len() as f64 - 1.0) * run_seconds / self.hot.max(1) as f64;
        if let Some(slot) = self.hot_slot.filter(|_| drained <= patience * load_seconds) {
            return Some(Better::Hot { slot, seconds: self.hot_seconds });
        }
        let pressure = waiting as f64 / context.open_slots;
        let patience = policy.patience_warm * (1.0 + policy.pressure_warm * pressure);
        let slot = self.warm_slot.filter(|_| self.warm_seconds <= patience * load_seconds)?;
        Some(Better::Warm { slot, seconds: self.warm_seconds })
    }
}

/// What the loads are expected to take that this load causes later, by what it drives out: the dearer, the more often that
/// is asked for and the fewer hold it besides.
pub(super) fn eviction_seconds(router: &Router, context: &Context, id: SlotId, known: &Known) -> f64 {
    let Some(slot) = router.slot(id) else { return 0.0 };
    let policy = &router.policy;
    let copies = |asset: Asset, at_most: Tier| {
        let others = holders(router, id, asset.id).filter(|(.., tier)| *tier <= at_most);
        1.0 + others.count() as f64
    };
    let asked_again = |asset: Asset, copies: f64, horizon: f64| {
        let rate = router.demand.rate(asset.id, context.now, policy.demand_seconds);
        1.0 - libm::exp(-rate / copies * horizon)
    };
    let seconds = |asset, tier| slot.loads.seconds(asset, tier);
    let (vram, ram) = slot.memory.driven_out(&known.kind.assets);
    let from_vram = vram.map(|asset| {
        let waits = router.waiting.group(Some(asset.id)).is_some();
        let again = asked_again(asset, copies(asset, Tier::Vram), policy.horizon_vram_seconds);
        seconds(asset, Tier::Ram) * if waits { 1.0 } else { again }
    });
    let from_ram = ram.map(|asset| {
        let again = asked_again(asset, copies(asset, Tier::Ram), policy.horizon_ram_seconds);
        (seconds(asset, Tier::Disk) - seconds(asset, Tier::Ram)).max(0.0) * again
    });
    policy.eviction_vram * from_vram.sum::<f64>()
        + policy.eviction_vram * policy.eviction_ram * from_ram.sum::<f64>()
}
