//! What a backend is believed to hold, and what it costs to load the rest. The belief is a replay of what it ran: in RAM what was
//! used longest ago leaves first, by bytes, and in VRAM too where ComfyUI was told to keep it; else what the last job named
//! is all that is there.

use serde::{Deserialize, Serialize};

use super::key::AssetId;

/// A model file that a job loads.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Asset {
    pub id: AssetId,
    pub gigabytes: f64,
}

/// Where a model is, the nearest place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tier {
    Vram,
    Ram,
    Disk,
}

/// What a backend keeps in VRAM of the jobs before the last one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Keeps {
    #[default]
    WhatFits,
    /// Nothing: a ComfyUI that was told of no other cache drops what the prompt that it runs does not name.
    Nothing,
}

#[derive(Clone, Debug, Default)]
pub struct Memory {
    vram: Recent,
    ram: Recent,
    keeps: Keeps,
}

impl Memory {
    /// Empty, with room for so much.
    pub fn new(vram_gigabytes: f64, ram_gigabytes: f64) -> Self {
        Self { vram: Recent::new(vram_gigabytes), ram: Recent::new(ram_gigabytes), keeps: Keeps::WhatFits }
    }

    pub fn resize(&mut self, vram_gigabytes: f64, ram_gigabytes: f64, keeps: Keeps) {
        (self.vram.room, self.ram.room, self.keeps) = (vram_gigabytes, ram_gigabytes, keeps);
    }

    pub fn tier(&self, asset: AssetId) -> Tier {
        if self.vram.has(asset) {
            Tier::Vram
        } else if self.ram.has(asset) {
            Tier::Ram
        } else {
            Tier::Disk
        }
    }

    /// All that is in VRAM or RAM, some twice.
    pub fn held(&self) -> impl Iterator<Item = AssetId> {
        self.vram.held.iter().chain(&self.ram.held).map(|asset| asset.id)
    }

    pub fn in_vram(&self) -> impl Iterator<Item = AssetId> {
        self.vram.held.iter().map(|asset| asset.id)
    }

    /// What is in VRAM is for the most part here too.
    pub fn in_ram(&self) -> impl Iterator<Item = AssetId> {
        self.ram.held.iter().map(|asset| asset.id)
    }

    /// A job with these models runs.
    pub fn use_all(&mut self, assets: &[Asset]) {
        if self.drops_others(assets) {
            self.vram.held.retain(|held| assets.iter().any(|used| used.id == held.id));
        }
        self.vram.use_all(assets);
        self.ram.use_all(assets);
    }

    /// What a job with these models would drive out of VRAM, and out of RAM.
    pub fn driven_out<'a>(
        &'a self,
        assets: &'a [Asset],
    ) -> (impl Iterator<Item = Asset> + 'a, impl Iterator<Item = Asset> + 'a) {
        (self.vram.driven_out(assets, self.drops_others(assets)), self.ram.driven_out(assets, false))
    }

    fn drops_others(&self, assets: &[Asset]) -> bool {
        self.keeps == Keeps::Nothing && !assets.is_empty()
    }

    pub fn forget(&mut self) {
        self.vram.held.clear();
        self.ram.held.clear();
    }
}

/// The least recently used first.
#[derive(Clone, Debug, Default)]
struct Recent {
    held: Vec<Asset>,
    room: f64,
}

/// Sums of sizes are compared to within this.
const EXACT: f64 = 1e-9;

impl Recent {
    fn new(room: f64) -> Self {
        Self { held: Vec::new(), room }
    }

    fn has(&self, id: AssetId) -> bool {
        self.held.iter().any(|held| held.id == id)
    }

    fn free(&self) -> f64 {
        self.room - self.held.iter().map(|held| held.gigabytes).sum::<f64>()
    }

    /// None of them makes room for another, whatever there is room for.
    fn use_all(&mut self, assets: &[Asset]) {
        let (there, missing): (Vec<Asset>, Vec<Asset>) = assets.iter().partition(|asset| self.has(asset.id));
        self.held.retain(|held| !there.iter().any(|used| used.id == held.id));
        self.held.extend(there);
        for asset in missing {
            let mut free = self.free();
            self.held.retain(|held| {
                let goes = free + EXACT < asset.gigabytes && !assets.iter().any(|used| used.id == held.id);
                free += if goes { held.gigabytes } else { 0.0 };
                !goes
            });
            self.held.push(asset);
        }
    }

    fn driven_out<'a>(&'a self, assets: &'a [Asset], all: bool) -> impl Iterator<Item = Asset> + 'a {
        let used = |id| assets.iter().any(|asset| asset.id == id);
        let missing = assets.iter().filter(|asset| !self.has(asset.id));
        let needed: f64 = missing.map(|asset| asset.gigabytes).sum();
        let mut free = if needed > 0.0 { self.free() } else { f64::INFINITY };
        self.held.iter().filter(move |held| !used(held.id)).copied().take_while(move |held| {
            let goes = all || free + EXACT < needed;
            free += held.gigabytes;
            goes
        })
    }
}

/// Seconds to bring models into VRAM: for each a fixed time, and a time a gigabyte by where it comes from, which is learned.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct LoadTimes {
    ram_seconds_a_gigabyte: f64,
    disk_seconds_a_gigabyte: f64,
}

/// What one model takes whatever its size: opening the file, building the model.
const FIXED_SECONDS: f64 = 0.5;
/// Weight of the newest observation, and by how much one may say that a gigabyte takes longer or shorter than believed.
const NEWEST: f64 = 0.2;
const SURPRISE: f64 = 4.0;
/// An observation teaches a tier only if this much of the expected time is spent there.
const MOSTLY: f64 = 0.8;

impl Default for LoadTimes {
    /// A local disk, as far as nothing is known.
    fn default() -> Self {
        Self { ram_seconds_a_gigabyte: 0.2, disk_seconds_a_gigabyte: 1.5 }
    }
}

impl LoadTimes {
    pub fn seconds(&self, asset: Asset, from: Tier) -> f64 {
        match from {
            Tier::Vram => 0.0,
            Tier::Ram => FIXED_SECONDS + self.ram_seconds_a_gigabyte * asset.gigabytes,
            Tier::Disk => FIXED_SECONDS + self.disk_seconds_a_gigabyte * asset.gigabytes,
        }
    }

    pub fn seconds_a_gigabyte(&self, from: Tier) -> f64 {
        match from {
            Tier::Vram => 0.0,
            Tier::Ram => self.ram_seconds_a_gigabyte,
            Tier::Disk => self.disk_seconds_a_gigabyte,
        }
    }

    /// Loading `assets`, each from where it was believed to be, took `seconds`.
    pub fn learn(&mut self, assets: impl IntoIterator<Item = (Asset, Tier)>, seconds: f64) {
        let loaded: Vec<(Asset, Tier)> = assets.into_iter().filter(|(_, from)| *from != Tier::Vram).collect();
        let expected: f64 = loaded.iter().map(|(asset, from)| self.seconds(*asset, *from)).sum();
        for tier in [Tier::Ram, Tier::Disk] {
            let from_it = || loaded.iter().filter(|(_, from)| *from == tier).map(|(asset, _)| *asset);
            let share: f64 = from_it().map(|asset| self.seconds(asset, tier)).sum();
            let gigabytes: f64 = from_it().map(|asset| asset.gigabytes).sum();
            if gigabytes > 0.0 && share >= MOSTLY * expected {
                let rest = FIXED_SECONDS * from_it().count() as f64 + (expected - share);
                self.observe(tier, (seconds - rest) / gigabytes);
            }
        }
    }

    fn observe(&mut self, tier: Tier, seconds_a_gigabyte: f64) {
        let known = match tier {
            Tier::Vram => return,
            Tier::Ram => &mut self.ram_seconds_a_gigabyte,
            Tier::Disk => &mut self.disk_seconds_a_gigabyte,
        };
        let seen = seconds_a_gigabyte.clamp(*known / SURPRISE, *known * SURPRISE);
        *known = libm::exp((1.0 - NEWEST) * libm::log(*known) + NEWEST * libm::log(seen));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asset(id: u64, gigabytes: f64) -> Asset {
        Asset { id: AssetId(id), gigabytes }
    }

    fn ids(assets: impl Iterator<Item = Asset>) -> Vec<u64> {
        assets.map(|asset| asset.id.0).collect()
    }

    #[test]
    fn what_was_used_longest_ago_leaves_vram_first_and_ram_later() {
        let mut memory = Memory::new(10.0, 20.0);
        memory.use_all(&[asset(1, 6.0)]);
        memory.use_all(&[asset(2, 4.0)]);
        memory.use_all(&[asset(1, 6.0)]);
        memory.use_all(&[asset(3, 3.0)]);
        let tiers = [1, 2, 3, 4].map(|id| memory.tier(AssetId(id)));
        assert_eq!(tiers, [Tier::Vram, Tier::Ram, Tier::Vram, Tier::Disk]);
        memory.use_all(&[asset(4, 9.0)]);
        let tiers = [1, 2, 3, 4].map(|id| memory.tier(AssetId(id)));
        assert_eq!(tiers, [Tier::Ram, Tier::Disk, Tier::Ram, Tier::Vram]);
        memory.forget();
        assert_eq!(memory.held().count(), 0);
    }

    #[test]
    fn a_job_does_not_drive_out_what_it_uses_itself() {
        let mut memory = Memory::new(10.0, 100.0);
        memory.use_all(&[asset(1, 6.0)]);
        memory.use_all(&[asset(2, 4.0)]);
        let job = [asset(1, 6.0), asset(3, 3.0)];
        let (vram, ram) = memory.driven_out(&job);
        assert_eq!((ids(vram), ids(ram)), (vec![2], vec![]));
        memory.use_all(&job);
        assert_eq!(memory.tier(AssetId(1)), Tier::Vram);
        memory.use_all(&[asset(4, 12.0), asset(5, 1.0)]);
        let tiers = [1, 3, 4, 5].map(|id| memory.tier(AssetId(id)));
        assert_eq!(tiers, [Tier::Ram, Tier::Ram, Tier::Vram, Tier::Vram], "though it has no room for both");
        let (vram, _) = memory.driven_out(&[]);
        assert_eq!(ids(vram), [] as [u64; 0]);
    }

    #[test]
    fn a_backend_that_keeps_nothing_has_in_vram_what_its_last_job_with_models_used() {
        let mut memory = Memory::default();
        memory.resize(100.0, 100.0, Keeps::Nothing);
        memory.use_all(&[asset(1, 6.0), asset(2, 1.0)]);
        let job = [asset(2, 1.0), asset(3, 1.0)];
        let (vram, ram) = memory.driven_out(&job);
        assert_eq!((ids(vram), ids(ram)), (vec![1], vec![]));
        memory.use_all(&job);
        memory.use_all(&[]);
        let tiers = [1, 2, 3].map(|id| memory.tier(AssetId(id)));
        assert_eq!(tiers, [Tier::Ram, Tier::Vram, Tier::Vram]);
    }

    #[test]
    fn the_time_a_gigabyte_is_learned_where_it_is_spent() {
        let mut loads = LoadTimes::default();
        for _ in 0..40 {
            loads.learn([(asset(1, 7.0), Tier::Disk), (asset(2, 7.0), Tier::Vram)], 0.5 + 3.4 * 7.0);
            loads.learn([(asset(1, 7.0), Tier::Ram)], 0.5 + 0.35 * 7.0);
        }
        assert!((loads.seconds_a_gigabyte(Tier::Disk) - 3.4).abs() < 0.01, "{loads:?}");
        assert!((loads.seconds_a_gigabyte(Tier::Ram) - 0.35).abs() < 0.01, "{loads:?}");
        let before = loads;
        loads.learn([(asset(1, 7.0), Tier::Vram)], 60.0);
        loads.learn([(asset(1, 1.0), Tier::Disk), (asset(2, 10.0), Tier::Ram)], 60.0);
        assert_eq!(loads, before, "it cannot be told which of them took the time");
    }

    #[test]
    fn one_odd_load_moves_the_time_little() {
        let mut loads = LoadTimes::default();
        loads.learn([(asset(1, 7.0), Tier::Disk)], 10_000.0);
        loads.learn([(asset(1, 7.0), Tier::Disk)], 0.0);
        assert!((1.0..2.5).contains(&loads.seconds_a_gigabyte(Tier::Disk)), "{loads:?}");
    }
}
