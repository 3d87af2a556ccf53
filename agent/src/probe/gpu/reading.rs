//! What is read of GPUs, whoever made them. Data only.

use std::collections::BTreeMap;
use std::time::Instant;

use report::{Gpu, GpuDriver};

/// The GPUs of one maker, and their driver.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gpus {
    /// Versions of the driver; absent where it tells none.
    pub driver: Option<GpuDriver>,
    /// In the driver's order; those that are lost keep their identity and nothing else.
    pub gpus: Vec<GpuReading>,
}

/// One GPU as its driver tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GpuReading {
    /// Its figures. Totals are the driver's own here, which may begin anew with the driver; `derive` tells those of
    /// the agent's life.
    pub gpu: Gpu,
    /// When was read what is not read every time, by the keys of [`Gpu::tier_age_seconds`].
    pub tiers: BTreeMap<&'static str, Instant>,
    /// XID errors since the reading before.
    pub xids: Vec<Xid>,
    /// Who has memory on it.
    pub processes: Vec<GpuProcess>,
    /// What has come together over the agent's life; left empty by probes, filled by `derive`.
    pub totals: Totals,
}

/// An error of the kind that NVIDIA's driver writes into the kernel's log.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Xid {
    /// Its number, e.g. 79: the GPU has fallen off the bus.
    pub number: u64,
    /// When it was noticed, in seconds since the Unix epoch.
    pub unix_seconds: f64,
}

/// A process that has memory on a GPU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuProcess {
    /// Its number in the driver's eyes.
    pub pid: u32,
    /// How much; absent where the driver does not tell.
    pub used_bytes: Option<u64>,
}

/// What has come together of one GPU over the agent's life.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    /// Utilization, integrated.
    pub busy_seconds: Option<f64>,
    /// Time that each reason to hold clocks down was active.
    pub clock_event_seconds: BTreeMap<String, f64>,
    /// The driver's counters, made to never fall.
    pub counters: BTreeMap<String, Monotone>,
    /// XID errors: how many and when last, by number.
    pub xids: BTreeMap<u64, (u64, f64)>,
}

/// A counter of the driver that begins anew when the driver does.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Monotone {
    /// What the driver told last.
    pub raw: f64,
    /// What the agent tells.
    pub total: f64,
}
