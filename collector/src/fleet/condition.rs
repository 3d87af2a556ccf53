//! How a GPU is clocked, cooled and worn, as its agent tells: for those who look. Nothing is decided by it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use utoipa::ToSchema;

/// A reason to hold clocks down that slows nothing.
const IDLE: &str = "gpu_idle";

/// What its driver does not tell is absent.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
#[schema(as = GpuCondition)]
pub struct Condition {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub power_limit_watts: Option<f64>,
    /// Present and highest clock by domain: `graphics`, `sm`, `memory`, `video`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_hertz: BTreeMap<String, f64>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub clock_max_hertz: BTreeMap<String, f64>,
    /// What holds its clocks down now (`sw_power_cap`, `hw_thermal_slowdown`, ...), idleness left out; none: nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slowed_by: Option<BTreeSet<String>>,
    /// By the fan's number; 0 to 1.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub fan_speed_ratio: BTreeMap<String, f64>,
    /// Errors of its memory: `corrected`, `uncorrected`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ecc_errors_total: BTreeMap<String, f64>,
    /// A row of its memory is replaced once it is reset.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_remap_pending: Option<bool>,
    /// The driver's XID errors since its agent's start, by number.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub xid_errors_total: BTreeMap<u64, u64>,
}

impl Condition {
    pub fn of(gpu: &report::Gpu) -> Self {
        let events = &gpu.clock_event_active;
        let slows =
            |(reason, is_active): (&String, &bool)| (*is_active && reason != IDLE).then(|| reason.clone());
        Self {
            power_limit_watts: gpu.power_limit_watts,
            clock_hertz: gpu.clock_hertz.clone(),
            clock_max_hertz: gpu.clock_max_hertz.clone(),
            slowed_by: (!events.is_empty()).then(|| events.iter().filter_map(slows).collect()),
            fan_speed_ratio: gpu.fan_speed_ratio.clone(),
            ecc_errors_total: gpu.ecc_errors_total.clone(),
            row_remap_pending: gpu.row_remap_pending,
            xid_errors_total: gpu.xid_errors_total.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn shown(gpu: Value) -> Value {
        json!(Condition::of(&serde_json::from_value(gpu).unwrap()))
    }

    #[test]
    fn idleness_slows_nothing_and_what_the_driver_does_not_tell_is_absent() {
        let events = json!({"gpu_idle": true, "sw_power_cap": true, "hw_slowdown": false});
        assert_eq!(shown(json!({"clock_event_active": events}))["slowed_by"], json!(["sw_power_cap"]));
        assert_eq!(shown(json!({"clock_event_active": {"gpu_idle": true}})), json!({"slowed_by": []}));
        assert_eq!(shown(json!({})), json!({}));
    }
}
