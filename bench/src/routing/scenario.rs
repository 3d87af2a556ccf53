//! What is simulated, by name.

use clap::ValueEnum;

/// What load there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Scenario {
    /// Poisson at ρ 0.70 over 86 checkpoints
    Steady,
    /// ρ 0.65, users who come back to the same model, and bursts
    Sessions,
    /// ρ 0.55 over 200 checkpoints that are nearly equally wanted
    Longtail,
    /// ρ 0.65, one job in twelve a video, GPUs of three sizes
    Video,
    /// ρ 0.55, and four times the rate for five minutes, most of it one cold model
    Flash,
    /// ρ 0.50, and one client that drops 200 jobs every 90 minutes
    Noisy,
    /// As steady, and each backend fails every 40 minutes and comes back cold
    Churn,
    /// 2,000 jobs at once
    Drain,
}

impl Scenario {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    /// Run time that arrives a second, beside what the backends can run; loads come on top.
    pub(crate) fn load(self) -> f64 {
        match self {
            Self::Steady | Self::Churn => 0.70,
            Self::Sessions | Self::Video => 0.65,
            Self::Longtail | Self::Flash => 0.55,
            Self::Noisy => 0.50,
            Self::Drain => 1.0,
        }
    }
}

/// What a load takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum Profile {
    /// A local disk: 0.6 s and 0.8 s/GB; from RAM 0.5 s and 0.15 s/GB
    Nvme,
    /// A network drive: 0.6 s and 3.4 s/GB; from RAM 0.5 s and 0.35 s/GB
    Nas,
}

impl Profile {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }

    pub(crate) fn disk_seconds(self, gigabytes: f64) -> f64 {
        0.6 + gigabytes * if self == Self::Nvme { 0.8 } else { 3.4 }
    }

    pub(crate) fn ram_seconds(self, gigabytes: f64) -> f64 {
        0.5 + gigabytes * if self == Self::Nvme { 0.15 } else { 0.35 }
    }
}

/// What can be varied of a scenario.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Variant {
    pub(crate) jobs: usize,
    pub(crate) backends: usize,
    /// Of run times.
    pub(crate) sigma: f64,
    /// How many jobs are followed by the loss of all that their backend holds.
    pub(crate) silent_evictions: f64,
    /// And whether what was in VRAM stays in RAM.
    pub(crate) evictions_keep_ram: bool,
    /// Instead of the scenario's own.
    pub(crate) load: Option<f64>,
}

impl Default for Variant {
    fn default() -> Self {
        Self {
            jobs: 6000,
            backends: 8,
            sigma: 0.3,
            silent_evictions: 0.0,
            evictions_keep_ram: false,
            load: None,
        }
    }
}
