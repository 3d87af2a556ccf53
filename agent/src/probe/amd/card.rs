//! One card: who it is, whether it is awake, and what was read of it in which tier.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::Instant;

use report::Gpu;

use super::figures;
use super::files::{self, Files};
use super::kfd::Kfd;
use super::parse;
use super::sensors::Sensors;
use crate::limits::{GPU_SLOW_PERIOD, NAMES_BYTES};
use crate::pci::Address;
use crate::probe::GpuReading;
use crate::probe::gpu::tier::{Tier, Tiers};

/// What is remembered of one card.
#[derive(Debug)]
pub(super) struct Card {
    address: Address,
    device: PathBuf,
    identity: Gpu,
    sensors: Tier<Sensors>,
    tiers: Tiers,
}

impl Card {
    /// The card of a device folder.
    pub(super) fn new(address: Address, device: PathBuf, names: &Path) -> Self {
        let identity =
            Gpu { name: Some(name(&device, names)), pci_bus_id: Some(address.to_string()), ..Gpu::default() };
        Self { address, device, identity, sensors: Tier::new(GPU_SLOW_PERIOD), tiers: Tiers::new() }
    }

    /// Whether this is the card of that folder. A driver that is loaded anew may give it another.
    pub(super) fn is_at(&self, address: Address, device: &Path) -> bool {
        self.address == address && self.device == device
    }

    pub(super) fn read(&mut self, index: u32, kfd: &mut Kfd, now: Instant) -> GpuReading {
        self.identity.uuid = self.identity.uuid.take().or_else(|| uuid(&self.device, self.address));
        self.identity.index = Some(index);
        let gpu = Gpu { up: Some(true), ..self.identity.clone() };
        if self.sleeps() { self.read_asleep(gpu) } else { self.read_awake(gpu, kfd, now) }
    }

    /// Whether the kernel has switched the card off for want of work. Most questions would wake it, and it would
    /// never sleep again.
    fn sleeps(&self) -> bool {
        let status = files::read(&self.device.join("power/runtime_status"));
        status.is_ok_and(|status| matches!(status.trim(), "suspended" | "suspending"))
    }

    fn read_asleep(&mut self, mut gpu: Gpu) -> GpuReading {
        self.forget();
        figures::read_memory(&mut Files::new(&self.device), &mut gpu);
        GpuReading { gpu, ..GpuReading::default() }
    }

    fn read_awake(&mut self, mut gpu: Gpu, kfd: &mut Kfd, now: Instant) -> GpuReading {
        let (device, address) = (&self.device, self.address);
        let mut files = Files::new(device);
        let (sensors, _) = self.sensors.due(now, || Sensors::find(device));
        figures::read_fast(&mut files, &sensors, &mut gpu);
        if files.is_gone() {
            return self.gone();
        }
        let read_medium = || figures::read_medium(&mut files, &sensors, kfd.processes(address, now));
        let (medium, _) = self.tiers.medium.due(now, read_medium);
        let (slow, _) = self.tiers.slow.due(now, || figures::read_slow(&mut files, &sensors, device));
        let processes = medium.place(&mut gpu);
        slow.place(&mut gpu);
        GpuReading { gpu, tiers: self.tiers.read_at(), processes, ..GpuReading::default() }
    }

    fn gone(&mut self) -> GpuReading {
        self.forget();
        let gpu = Gpu { up: Some(false), ..self.identity.clone() };
        GpuReading { gpu, ..GpuReading::default() }
    }

    fn forget(&mut self) {
        self.sensors.forget();
        self.tiers.forget();
    }
}

/// ROCm's form. Chips before Vega, and APUs, have no number of their own: those are told by where they sit. `None` when it
/// cannot be known now; what is said once must not change.
fn uuid(device: &Path, address: Address) -> Option<String> {
    let by_place = || Some(format!("PCI-{address}"));
    match files::read(&device.join("unique_id")) {
        Ok(text) => match text.trim() {
            "" => by_place(),
            id => Some(format!("GPU-{id}")),
        },
        Err(error) if error.kind() == io::ErrorKind::NotFound => by_place(),
        Err(_) => None,
    }
}

/// What the card calls itself (only those for servers do), or libdrm calls it, or else its numbers.
fn name(device: &Path, names: &Path) -> String {
    let text = |file: &str| files::read(&device.join(file)).unwrap_or_default().trim().to_owned();
    let own = Some(text("product_name")).filter(|name| !name.is_empty());
    own.or_else(|| parse::listed_name(&list_of_names(names).ok()?, &text("device"), &text("revision")))
        .unwrap_or_else(|| format!("AMD GPU 1002:{}", text("device").trim_start_matches("0x")))
}

fn list_of_names(path: &Path) -> io::Result<String> {
    let mut list = String::new();
    File::open(path)?.take(NAMES_BYTES).read_to_string(&mut list)?;
    Ok(list)
}
