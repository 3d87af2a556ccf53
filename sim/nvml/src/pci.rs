//! PCI addresses.

use crate::failure::{Answer, Failure};

/// `domain:bus:device.function`; the domain may be left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) domain: u32,
    pub(crate) bus: u32,
    pub(crate) device: u32,
    function: u32,
}

impl Address {
    /// # Errors
    /// `INVALID_ARGUMENT`: not an address.
    pub(crate) fn parse(text: &str) -> Answer<Self> {
        read(text).ok_or(Failure::InvalidArgument)
    }

    /// With a domain of eight digits, as NVML writes it since its third version.
    pub(crate) fn text(self) -> String {
        format!("{:08X}:{:02X}:{:02X}.{:X}", self.domain, self.bus, self.device, self.function)
    }

    /// With a domain of four digits, as NVML wrote it before.
    pub(crate) fn legacy_text(self) -> String {
        format!("{:04X}:{:02X}:{:02X}.{:X}", self.domain & 0xffff, self.bus, self.device, self.function)
    }
}

fn read(text: &str) -> Option<Address> {
    let (rest, function) = text.rsplit_once('.')?;
    let (rest, device) = rest.rsplit_once(':')?;
    let (domain, bus) = rest.rsplit_once(':').unwrap_or(("0", rest));
    let number = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some(Address {
        domain: number(domain)?,
        bus: number(bus)?,
        device: number(device)?,
        function: number(function)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_be_written_long_or_short() {
        for text in ["00000000:0A:00.0", "0000:0a:00.0", "0A:00.0"] {
            let address = Address::parse(text).unwrap();
            assert_eq!(
                (address.text().as_str(), address.legacy_text().as_str()),
                ("00000000:0A:00.0", "0000:0A:00.0")
            );
        }
        assert_eq!(Address::parse("GPU-1"), Err(Failure::InvalidArgument));
    }
}
