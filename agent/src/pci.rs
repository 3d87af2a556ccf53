//! Where a device sits on the PCI buses: what orders AMD's cards, what ties a card to its entry among the compute devices,
//! and one of the names that an operator may give a GPU.

use std::fmt;
use std::str::FromStr;

/// A PCI address, ordered as `lspci` lists. Drivers differ in the domain's digits and in case when they write it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Address {
    domain: u32,
    bus: u8,
    device: u8,
    function: u8,
}

/// Not written as `domain:bus:device.function`, of which the domain may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAddress;

impl Address {
    /// From `domain` and `location_id` of a compute device. Parts of a divided card differ in the topmost bits alone.
    pub fn of_location(domain: u32, location_id: u32) -> Self {
        let [function_and_device, bus, ..] = location_id.to_le_bytes();
        Self { domain, bus, device: function_and_device >> 3, function: function_and_device & 7 }
    }
}

impl FromStr for Address {
    type Err = NoAddress;

    fn from_str(text: &str) -> Result<Self, NoAddress> {
        let (rest, function) = text.rsplit_once('.').ok_or(NoAddress)?;
        let (rest, device) = rest.rsplit_once(':').ok_or(NoAddress)?;
        let (domain, bus) = rest.split_once(':').unwrap_or(("0", rest));
        let byte = |digits| u8::from_str_radix(digits, 16).map_err(|_| NoAddress);
        let domain = u32::from_str_radix(domain, 16).map_err(|_| NoAddress)?;
        Ok(Self { domain, bus: byte(bus)?, device: byte(device)?, function: byte(function)? })
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04x}:{:02x}:{:02x}.{:x}", self.domain, self.bus, self.device, self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_written_as_it_was_read() {
        for text in ["0000:03:00.0", "0000:c3:1f.7", "10000:e1:00.0"] {
            assert_eq!(text.parse::<Address>().map(|address| address.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "0000:03:00", "0000:03:xx.0", "0000:103:00.0", "1:2:3:4.0"] {
            assert_eq!(text.parse::<Address>(), Err(NoAddress), "{text}");
        }
    }

    #[test]
    fn one_place_may_be_written_in_several_ways() {
        for text in ["03:1f.0", "0:3:1f.0", "00000000:03:1F.0"] {
            assert_eq!(text.parse(), "0000:03:1f.0".parse::<Address>(), "{text}");
        }
    }

    #[test]
    fn a_location_names_the_same_place_whichever_part_of_the_card_tells_it() {
        let expected: Address = "0000:c3:02.1".parse().unwrap();
        for location_id in [0xc311, 0x1000_c311, 0x7000_c311] {
            assert_eq!(Address::of_location(0, location_id), expected);
        }
    }
}
