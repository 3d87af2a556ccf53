//! What each network interface has carried, from `/proc/net/dev`: unlike `/sys/class/net` it is one file, and waits for no
//! driver. Particular to Linux.

use std::time::{Duration, Instant};

use report::{Network, Traffic};

use super::{Failure, Probe, Reading};
use crate::limits::{COUNTER_PERIOD, INTERFACES};

/// Reads all interfaces, the loopback one too.
#[derive(Debug, Default)]
pub(crate) struct NetworkProbe;

impl Probe for NetworkProbe {
    fn name(&self) -> &'static str {
        "network"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let text = std::fs::read_to_string("/proc/net/dev");
        let text = text.map_err(|error| Failure::new("io", format!("cannot read /proc/net/dev: {error}")))?;
        Ok(Reading::Network(Network { interfaces: interfaces(&text), age_seconds: None }))
    }

    fn pause(&self) -> Duration {
        COUNTER_PERIOD
    }
}

/// By name.
fn interfaces(text: &str) -> Vec<Traffic> {
    let mut interfaces: Vec<Traffic> = text.lines().filter_map(traffic).take(INTERFACES).collect();
    interfaces.sort_by(|one, other| one.device.cmp(&other.device));
    interfaces
}

/// Parses `eth0: 1 2 3 4 5 6 7 8 9 ...`: bytes received are the first number, bytes sent the ninth.
fn traffic(line: &str) -> Option<Traffic> {
    let (device, counts) = line.split_once(':')?;
    let mut counts = counts.split_whitespace();
    let mut bytes = |place| counts.nth(place)?.parse().ok();
    let (receive, transmit): (Option<u64>, Option<u64>) = (bytes(0), bytes(7));
    Some(Traffic {
        device: device.trim().to_owned(),
        receive_bytes_total: receive,
        transmit_bytes_total: transmit,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_interface_is_told_by_name_with_what_it_received_and_sent() {
        let text = "Inter-|   Receive                                                |  Transmit\n \
                    face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs\n    \
                    lo: 55 1 0 0 0 0 0 0 56 1 0 0 0 0 0 0\n  \
                    eth0:123456789012 7 0 0 0 0 0 0 9 8 0 0 0 0 0 0\n";
        let told: Vec<_> = interfaces(text)
            .into_iter()
            .map(|one| (one.device, one.receive_bytes_total, one.transmit_bytes_total))
            .collect();
        let expected =
            [("eth0".to_owned(), Some(123_456_789_012), Some(9)), ("lo".to_owned(), Some(55), Some(56))];
        assert_eq!(told, expected);
    }
}
