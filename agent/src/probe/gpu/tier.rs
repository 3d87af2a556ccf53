//! What is not read every time: kept, with when it was read, until its period is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use report::Gpu;

use crate::limits::{GPU_MEDIUM_PERIOD, GPU_SLOW_PERIOD};
use crate::probe::GpuProcess;

/// What was read last, and when.
#[derive(Debug)]
pub(in crate::probe) struct Tier<T> {
    period: Duration,
    last: Option<(T, Instant)>,
}

/// The two tiers of a GPU's figures; the fast ones are read every time.
#[derive(Debug)]
pub(in crate::probe) struct Tiers {
    pub(in crate::probe) medium: Tier<Medium>,
    pub(in crate::probe) slow: Tier<Slow>,
}

impl<T: Clone> Tier<T> {
    pub(in crate::probe) fn new(period: Duration) -> Self {
        Self { period, last: None }
    }

    /// What is read now if its time has come, or else what was read last. And whether it was read now.
    pub(in crate::probe) fn due(&mut self, now: Instant, read: impl FnOnce() -> T) -> (T, bool) {
        match &self.last {
            Some((value, at)) if now.saturating_duration_since(*at) < self.period => (value.clone(), false),
            _ => (self.last.insert((read(), now)).0.clone(), true),
        }
    }

    /// Forgets what was read, of a device that is gone or asleep.
    pub(in crate::probe) fn forget(&mut self) {
        self.last = None;
    }
}

impl Tiers {
    pub(in crate::probe) fn new() -> Self {
        Self { medium: Tier::new(GPU_MEDIUM_PERIOD), slow: Tier::new(GPU_SLOW_PERIOD) }
    }

    pub(in crate::probe) fn forget(&mut self) {
        self.medium.forget();
        self.slow.forget();
    }

    /// When each was read, by the keys of [`report::Gpu::tier_age_seconds`].
    pub(in crate::probe) fn read_at(&self) -> BTreeMap<&'static str, Instant> {
        let medium = self.medium.last.as_ref().map(|(_, at)| ("5s", *at));
        let slow = self.slow.last.as_ref().map(|(_, at)| ("60s", *at));
        medium.into_iter().chain(slow).collect()
    }
}

/// What is read every five seconds, as in [`Gpu`].
#[derive(Clone, Debug, Default)]
pub(in crate::probe) struct Medium {
    pub(in crate::probe) encoder_utilization_ratio: Option<f64>,
    pub(in crate::probe) decoder_utilization_ratio: Option<f64>,
    pub(in crate::probe) energy_joules: Option<f64>,
    pub(in crate::probe) fan_speed_ratio: BTreeMap<String, f64>,
    pub(in crate::probe) performance_state: Option<u32>,
    pub(in crate::probe) pcie_link_generation: Option<u32>,
    pub(in crate::probe) pcie_link_width: Option<u32>,
    /// Who has memory on the GPU.
    pub(in crate::probe) processes: Vec<GpuProcess>,
}

/// What is read every minute, as in [`Gpu`].
#[derive(Clone, Debug, Default)]
pub(in crate::probe) struct Slow {
    pub(in crate::probe) power_limit_watts: Option<f64>,
    pub(in crate::probe) clock_max_hertz: BTreeMap<String, f64>,
    pub(in crate::probe) ecc_errors: BTreeMap<String, f64>,
    pub(in crate::probe) remapped_rows: BTreeMap<String, u32>,
    pub(in crate::probe) row_remap_pending: Option<bool>,
    pub(in crate::probe) mig_mode: Option<bool>,
}

impl Medium {
    /// Gives the figures their places in a report; the processes are left.
    pub(in crate::probe) fn place(self, gpu: &mut Gpu) -> Vec<GpuProcess> {
        gpu.encoder_utilization_ratio = self.encoder_utilization_ratio;
        gpu.decoder_utilization_ratio = self.decoder_utilization_ratio;
        gpu.energy_joules_total = self.energy_joules;
        gpu.fan_speed_ratio = self.fan_speed_ratio;
        gpu.performance_state = self.performance_state;
        gpu.pcie_link_generation = self.pcie_link_generation;
        gpu.pcie_link_width = self.pcie_link_width;
        self.processes
    }
}

impl Slow {
    /// Gives the figures their places in a report.
    pub(in crate::probe) fn place(self, gpu: &mut Gpu) {
        gpu.power_limit_watts = self.power_limit_watts;
        gpu.clock_max_hertz = self.clock_max_hertz;
        gpu.ecc_errors_total = self.ecc_errors;
        gpu.remapped_rows = self.remapped_rows;
        gpu.row_remap_pending = self.row_remap_pending;
        gpu.mig_mode = self.mig_mode;
    }
}
