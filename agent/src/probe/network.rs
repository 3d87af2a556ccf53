//! What each network interface has carried.

use std::time::{Duration, Instant};

use report::{Network, Traffic};
use sysinfo::Networks;

use super::{Failure, Probe, Reading};
use crate::limits::COUNTER_PERIOD;

/// Reads all interfaces, the loopback one too.
#[derive(Debug, Default)]
pub struct NetworkProbe {
    networks: Option<Networks>,
}

impl NetworkProbe {
    fn networks(&mut self) -> Result<&mut Networks, Failure> {
        if self.networks.is_none() {
            self.networks = Networks::new().ok();
        }
        self.networks
            .as_mut()
            .ok_or_else(|| Failure::new("unsupported", "this system does not tell its network"))
    }
}

impl Probe for NetworkProbe {
    fn name(&self) -> &'static str {
        "network"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let networks = self.networks()?;
        networks.refresh(true);
        let mut interfaces: Vec<Traffic> =
            networks.iter().map(|(device, data)| traffic(&device.to_string_lossy(), data)).collect();
        interfaces.sort_by(|one, other| one.device.cmp(&other.device));
        Ok(Reading::Network(Network { interfaces, age_seconds: None }))
    }

    fn pause(&self) -> Duration {
        COUNTER_PERIOD
    }
}

fn traffic(device: &str, data: &sysinfo::NetworkData) -> Traffic {
    Traffic {
        device: device.to_owned(),
        receive_bytes_total: Some(data.total_received()),
        transmit_bytes_total: Some(data.total_transmitted()),
    }
}
