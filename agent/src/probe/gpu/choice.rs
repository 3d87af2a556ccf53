//! Which GPUs the agent speaks for, so that several agents of a host do not count one twice.

use std::str::FromStr;

use report::Gpu;

/// What the operator asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The driver's first GPU.
    Auto,
    /// All GPUs; the first of them is the one of `/orchestrator/metrics`.
    All,
    /// The GPU at this place of the driver's order when it was first seen.
    Index(u32),
    /// The GPU of this UUID.
    Uuid(String),
    /// The GPU in this slot, as `domain:bus:device.function`.
    PciBusId(String),
}

/// A choice that cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` names no GPU: give auto, all, an index such as 0, a UUID (GPU-...) or a PCI bus id (01:00.0)")]
pub struct BadChoice(String);

impl FromStr for Choice {
    type Err = BadChoice;

    fn from_str(text: &str) -> Result<Self, BadChoice> {
        match text {
            "auto" => Ok(Self::Auto),
            "all" => Ok(Self::All),
            _ if text.starts_with("GPU-") || text.starts_with("MIG-") => Ok(Self::Uuid(text.to_owned())),
            _ => slot(text)
                .map(Self::PciBusId)
                .or_else(|| text.parse().ok().map(Self::Index))
                .ok_or_else(|| BadChoice(text.to_owned())),
        }
    }
}

/// The one way to write a PCI bus id: NVML and `lspci` differ in the domain's digits and in case.
fn slot(text: &str) -> Option<String> {
    let (rest, function) = text.rsplit_once('.')?;
    let parts: Vec<&str> = rest.split(':').collect();
    let (domain, bus, device) = match parts.as_slice() {
        [bus, device] => ("0", *bus, *device),
        [domain, bus, device] => (*domain, *bus, *device),
        _ => return None,
    };
    let hex = |digits: &str| u32::from_str_radix(digits, 16).ok();
    Some(format!("{:08x}:{:02x}:{:02x}.{:x}", hex(domain)?, hex(bus)?, hex(device)?, hex(function)?))
}

/// The choice, bound to the GPUs that it was first found to mean. The driver's order may change under a running
/// agent (a GPU is lost, the driver is opened anew); the agent goes on speaking for the same GPU.
pub(super) struct Chosen {
    choice: Choice,
    bound: Option<String>,
}

impl Chosen {
    pub(super) fn new(choice: Choice) -> Self {
        Self { choice, bound: None }
    }

    /// Sets `chosen` of every GPU.
    pub(super) fn mark(&mut self, gpus: &mut [Gpu]) {
        if self.bound.is_none() {
            self.bound = gpus.iter().find(|gpu| self.means(gpu)).and_then(|gpu| gpu.uuid.clone());
        }
        for gpu in gpus {
            let chosen = match (&self.choice, &self.bound) {
                (Choice::All, _) => true,
                (_, Some(bound)) => gpu.uuid.as_ref() == Some(bound),
                // Not even a UUID can be read of it: nothing to be bound to.
                (_, None) => self.means(gpu),
            };
            gpu.chosen = Some(chosen);
        }
    }

    fn means(&self, gpu: &Gpu) -> bool {
        match &self.choice {
            Choice::Auto => gpu.index == Some(0),
            Choice::All => true,
            Choice::Index(index) => gpu.index == Some(*index),
            Choice::Uuid(uuid) => gpu.uuid.as_ref().is_some_and(|own| own.eq_ignore_ascii_case(uuid)),
            Choice::PciBusId(wanted) => gpu.pci_bus_id.as_deref().and_then(slot).as_ref() == Some(wanted),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gpus(uuids: &[&str]) -> Vec<Gpu> {
        let gpu = |(index, uuid): (u32, &&str)| Gpu {
            uuid: Some((*uuid).to_owned()),
            index: Some(index),
            pci_bus_id: Some(format!("00000000:0{index}:00.0")),
            ..Gpu::default()
        };
        (0..).zip(uuids).map(gpu).collect()
    }

    fn chosen(choice: &str, gpus: &mut [Gpu]) -> Vec<bool> {
        Chosen::new(choice.parse().unwrap()).mark(gpus);
        gpus.iter().map(|gpu| gpu.chosen.unwrap()).collect()
    }

    #[test]
    fn every_way_to_name_a_gpu_finds_it() {
        let cases = [
            ("auto", [true, false]),
            ("all", [true, true]),
            ("0", [true, false]),
            ("1", [false, true]),
            ("GPU-b", [false, true]),
            ("01:00.0", [false, true]),
            ("0000:01:00.0", [false, true]),
            ("00000000:01:00.0", [false, true]),
            ("7", [false, false]),
            ("GPU-c", [false, false]),
        ];
        for (choice, expected) in cases {
            assert_eq!(chosen(choice, &mut gpus(&["GPU-a", "GPU-b"])), expected, "{choice}");
        }
    }

    #[test]
    fn the_choice_stays_with_its_gpu_when_the_order_changes() {
        for choice in ["auto", "0", "00:00.0"] {
            let mut chosen = Chosen::new(choice.parse().unwrap());
            chosen.mark(&mut gpus(&["GPU-a", "GPU-b"]));
            let mut turned = gpus(&["GPU-b", "GPU-a"]);
            chosen.mark(&mut turned);
            assert_eq!((turned[0].chosen, turned[1].chosen), (Some(false), Some(true)), "{choice}");
        }
    }

    #[test]
    fn what_names_no_gpu_is_refused_with_what_would() {
        for text in ["", "first", "-1", "zz:00.0", "1:2:3:4.0", "GPU"] {
            let error = text.parse::<Choice>().unwrap_err();
            assert!(error.to_string().contains("auto, all, an index"), "{text}");
        }
    }
}
