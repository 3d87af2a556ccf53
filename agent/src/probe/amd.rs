//! AMD GPUs, from what the kernel's driver `amdgpu` tells in sysfs: no library, no device file, no privileges. This file
//! owns which cards there are; how one is read is `amd/card.rs`. Particular to Linux.
//!
//! Sources: the kernel's `Documentation/gpu/amdgpu/{thermal,driver-misc,ras}.rst` for a card's own files,
//! `Documentation/hwmon/sysfs-interface.rst` for its sensors, `Documentation/ABI/testing/sysfs-bus-pci` for its link, and
//! `drivers/gpu/drm/amd/amdkfd/kfd_{topology,process}.c` for the processes that compute on it.

mod card;
mod figures;
mod files;
mod kfd;
mod parse;
mod sensors;
#[cfg(test)]
mod tests;

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::gpu::Lost;
use super::{Failure, Gpus, Probe, Reading};
use crate::limits::{AMD_ABSENT_PERIOD, GPU_MEDIUM_PERIOD, GPUS, READ_PERIOD};
use crate::pci::Address;
use card::Card;
use kfd::Kfd;

/// AMD's number among the makers of PCI devices.
const VENDOR: &str = "0x1002";

/// Where distributions put libdrm's list of names.
const NAMES: &str = "/usr/share/libdrm/amdgpu.ids";

/// Reads all AMD GPUs. That there is none is no failure: most hosts have GPUs of one maker.
#[derive(Debug)]
pub(crate) struct AmdProbe {
    cards_folder: PathBuf,
    names: PathBuf,
    kfd: Kfd,
    cards: Vec<Card>,
    looked: Option<Instant>,
    lost: Lost,
    pause: Duration,
}

impl Default for AmdProbe {
    fn default() -> Self {
        Self::new(Path::new("/sys"), Path::new(NAMES))
    }
}

impl AmdProbe {
    /// A probe over sysfs at `root`, which takes the names of cards that tell none from the file `names`.
    pub(crate) fn new(root: &Path, names: &Path) -> Self {
        Self {
            cards_folder: root.join("class/drm"),
            names: names.to_owned(),
            kfd: Kfd::new(root),
            cards: Vec::new(),
            looked: None,
            lost: Lost::default(),
            pause: READ_PERIOD,
        }
    }

    /// Looks which cards there are; those that stay keep what was found out about them.
    fn look(&mut self, now: Instant) -> Result<(), Failure> {
        if self.looked.is_some_and(|at| now.saturating_duration_since(at) < GPU_MEDIUM_PERIOD) {
            return Ok(());
        }
        let found = find(&self.cards_folder).map_err(|error| {
            let folder = self.cards_folder.display();
            Failure::new(
                "io",
                format!("cannot list {folder}: {error}; check that the agent's unit may read it"),
            )
        })?;
        let mut before = std::mem::take(&mut self.cards);
        for (address, device) in found {
            let known = before.iter().position(|card| card.is_at(address, &device));
            self.cards.push(match known {
                Some(place) => before.swap_remove(place),
                None => Card::new(address, device, &self.names),
            });
        }
        self.looked = Some(now);
        Ok(())
    }
}

impl Probe for AmdProbe {
    fn name(&self) -> &'static str {
        "amd_gpu"
    }

    fn read(&mut self, now: Instant) -> Result<Reading, Failure> {
        self.look(now)?;
        let kfd = &mut self.kfd;
        let gpus = self.cards.iter_mut().zip(0..).map(|(card, index)| card.read(index, kfd, now)).collect();
        let mut gpus = Gpus { driver: None, gpus };
        self.lost.settle(&mut gpus);
        self.pause = if gpus.gpus.is_empty() { AMD_ABSENT_PERIOD } else { READ_PERIOD };
        Ok(Reading::Gpus(gpus))
    }

    fn pause(&self) -> Duration {
        self.pause
    }
}

/// The device folders of AMD's cards by their address. A kernel without graphics has no such class, and no cards.
fn find(cards: &Path) -> io::Result<Vec<(Address, PathBuf)>> {
    let entries = match std::fs::read_dir(cards) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let devices = names.filter(|name| is_card(name)).map(|name| cards.join(name).join("device"));
    let mut found: Vec<_> = devices.filter_map(|device| Some((address_of(&device)?, device))).collect();
    found.sort();
    found.truncate(GPUS as usize);
    Ok(found)
}

/// `card0`, and not `card0-HDMI-A-1`, which is where a screen is plugged in.
fn is_card(name: &str) -> bool {
    name.strip_prefix("card").is_some_and(|number| number.parse::<u32>().is_ok())
}

fn address_of(device: &Path) -> Option<Address> {
    files::read(&device.join("vendor")).ok().filter(|vendor| vendor.trim() == VENDOR)?;
    let uevent = files::read(&device.join("uevent")).ok()?;
    uevent.lines().find_map(|line| line.strip_prefix("PCI_SLOT_NAME=")).and_then(|slot| slot.parse().ok())
}
