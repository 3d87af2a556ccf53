//! Filesystems and the block devices below them: those of the folders that the operator names (`disk/folders.rs`), or else
//! all local ones. Network filesystems are left out of these: asking a server that is gone can hang for ever.

mod counters;
mod folders;
mod lookout;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use report::{Disk, Filesystem, Storage};
use sysinfo::{DiskRefreshKind, Disks};

pub(crate) use folders::FolderProbe;

use super::{Failure, Probe, Reading};
use crate::limits::STORAGE_PERIOD;

/// Reads every filesystem that is mounted on a folder.
#[derive(Debug, Default)]
pub(crate) struct DiskProbe {
    disks: Option<Disks>,
}

impl DiskProbe {
    fn disks(&mut self) -> Result<&mut Disks, Failure> {
        if self.disks.is_none() {
            self.disks = Disks::new().ok();
        }
        self.disks.as_mut().ok_or_else(|| Failure::new("unsupported", "this system does not tell its disks"))
    }
}

impl Probe for DiskProbe {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let disks = self.disks()?;
        disks.refresh_specifics(true, DiskRefreshKind::nothing().with_storage().with_io_usage());
        Ok(Reading::Storage(Storage {
            filesystems: filesystems(disks),
            disks: devices(disks),
            age_seconds: None,
        }))
    }

    fn pause(&self) -> Duration {
        STORAGE_PERIOD
    }
}

/// One entry a mountpoint: of several filesystems mounted on one, the last hides the others. Containers mount
/// single files over their own; those say nothing that the filesystem's own entry does not.
fn filesystems(disks: &Disks) -> Vec<Filesystem> {
    let folders = disks.iter().filter(|disk| disk.total_space() > 0 && disk.mount_point().is_dir());
    let by_mountpoint: BTreeMap<String, Filesystem> = folders
        .map(|disk| (disk.mount_point().to_string_lossy().into_owned(), disk))
        .map(|(mountpoint, disk)| (mountpoint.clone(), filesystem(mountpoint, disk)))
        .collect();
    by_mountpoint.into_values().collect()
}

fn filesystem(mountpoint: String, disk: &sysinfo::Disk) -> Filesystem {
    let (size, avail) = (disk.total_space(), disk.available_space());
    Filesystem { mountpoint, size_bytes: Some(size), avail_bytes: Some(avail) }
}

/// One entry a device, however often it is mounted.
fn devices(disks: &Disks) -> Vec<Disk> {
    let by_name: BTreeMap<String, Disk> =
        disks.iter().filter_map(device).map(|disk| (disk.device.clone(), disk)).collect();
    by_name.into_values().collect()
}

/// `None` for what is no block device, and for one that the kernel has no figures of (sysinfo says zero then; a
/// mounted filesystem has been read from).
fn device(disk: &sysinfo::Disk) -> Option<Disk> {
    let name = disk.name().to_str()?.strip_prefix("/dev/")?;
    let usage = disk.usage();
    (usage.total_read_bytes > 0).then(|| Disk {
        device: name.to_owned(),
        read_bytes_total: Some(usage.total_read_bytes),
        written_bytes_total: Some(usage.total_written_bytes),
    })
}
