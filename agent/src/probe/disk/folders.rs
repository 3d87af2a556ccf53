//! The filesystems of the folders that the operator names, network filesystems too, and the block devices below them. How a
//! folder is looked at, so that one that hangs harms no other, is `lookout.rs`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use report::{Disk, Filesystem, Storage};

use super::counters::{self, Counters};
use super::lookout::{self, Answer, Look, Lookout, Sight};
use crate::limits::{FOLDER_PATIENCE, STORAGE_PERIOD};
use crate::probe::{Failure, Probe, Reading};
use crate::told::Told;

/// Reads the filesystems of some folders.
#[derive(Debug)]
pub(crate) struct FolderProbe {
    lookouts: Vec<Lookout>,
    patience: Duration,
    /// Folders in trouble that the log has been told of.
    told: Told<PathBuf>,
}

impl FolderProbe {
    /// A probe of these folders.
    pub(crate) fn new<'a>(folders: impl Iterator<Item = &'a PathBuf>) -> Self {
        Self::with(folders, lookout::look, FOLDER_PATIENCE)
    }

    fn with<'a>(folders: impl Iterator<Item = &'a PathBuf>, look: Look, patience: Duration) -> Self {
        let folders: BTreeSet<&PathBuf> = folders.collect();
        let lookouts = folders.into_iter().map(|folder| Lookout::new(folder.clone(), look)).collect();
        Self { lookouts, patience, told: Told::default() }
    }

    /// What was seen, and what was in the way of seeing the rest.
    fn look(&mut self) -> (Vec<Sight>, BTreeMap<PathBuf, String>) {
        let mut sights = Vec::with_capacity(self.lookouts.len());
        let mut troubles = BTreeMap::new();
        let refused: Vec<_> = self.lookouts.iter_mut().map(|lookout| lookout.ask().err()).collect();
        let until = Instant::now() + self.patience;
        for (lookout, refused) in self.lookouts.iter_mut().zip(refused) {
            let trouble = match refused.map_or_else(|| lookout.answer(until), Answer::Failed) {
                Answer::Seen(sight) => {
                    sights.push(sight);
                    continue;
                }
                Answer::Failed(error) => format!("{error}; correct --folder or --models"),
                Answer::Silent => "it hangs, as when a server is gone; it is told when it answers".to_owned(),
            };
            troubles.insert(lookout.folder.clone(), trouble);
        }
        (sights, troubles)
    }

    fn tell(&mut self, troubles: &BTreeMap<PathBuf, String>) {
        let begun = self.told.news(troubles.keys().cloned()).begun;
        for (folder, trouble) in troubles.iter().filter(|(folder, _)| begun.contains(*folder)) {
            let folder = folder.display();
            tracing::warn!("the filesystem of {folder} is not told: {trouble}");
        }
    }
}

impl Probe for FolderProbe {
    fn name(&self) -> &'static str {
        "disk"
    }

    fn read(&mut self, _now: Instant) -> Result<Reading, Failure> {
        let (sights, troubles) = self.look();
        if sights.is_empty() {
            return Err(nothing_seen(&troubles));
        }
        self.tell(&troubles);
        // Without the kernel's counters there are still the filesystems.
        let diskstats = std::fs::read_to_string("/proc/diskstats").unwrap_or_default();
        Ok(Reading::Storage(storage(sights, &counters::counters(&diskstats))))
    }

    fn pause(&self) -> Duration {
        STORAGE_PERIOD
    }
}

fn nothing_seen(troubles: &BTreeMap<PathBuf, String>) -> Failure {
    let told: Vec<String> =
        troubles.iter().map(|(folder, trouble)| format!("{}: {trouble}", folder.display())).collect();
    let told = told.join(", ");
    Failure::new("io", format!("no folder of --folder and --models can be looked at ({told})"))
}

/// Each filesystem and each device once, however many folders lie on it.
fn storage(sights: Vec<Sight>, counters: &[Counters]) -> Storage {
    let disks: BTreeMap<String, Disk> = sights
        .iter()
        .filter_map(|sight| disk(sight, counters))
        .map(|disk| (disk.device.clone(), disk))
        .collect();
    let filesystems: BTreeMap<String, Filesystem> =
        sights.into_iter().map(|sight| (sight.filesystem.mountpoint.clone(), sight.filesystem)).collect();
    Storage {
        filesystems: filesystems.into_values().collect(),
        disks: disks.into_values().collect(),
        age_seconds: None,
    }
}

/// `None` where no block device is below: a network filesystem, memory.
fn disk(sight: &Sight, counters: &[Counters]) -> Option<Disk> {
    let counters = counters.iter().find(|counters| counters.device == sight.device)?;
    Some(Disk {
        device: sight.device_name.clone().unwrap_or_else(|| counters.name.clone()),
        read_bytes_total: Some(counters.read_bytes),
        written_bytes_total: Some(counters.written_bytes),
    })
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::path::Path;
    use std::sync::Mutex;

    use super::*;

    fn read(probe: &mut FolderProbe) -> Result<Storage, Failure> {
        probe.read(Instant::now()).map(|reading| match reading {
            Reading::Storage(storage) => storage,
            other => panic!("{other:?}"),
        })
    }

    fn mountpoints(storage: &Storage) -> Vec<&str> {
        storage.filesystems.iter().map(|filesystem| filesystem.mountpoint.as_str()).collect()
    }

    fn sight(mountpoint: &str, device_name: Option<&str>, device: (u32, u32)) -> Sight {
        let filesystem = Filesystem { mountpoint: mountpoint.to_owned(), ..Filesystem::default() };
        Sight { filesystem, device_name: device_name.map(str::to_owned), device }
    }

    fn folders(names: &[&str]) -> Vec<PathBuf> {
        names.iter().map(PathBuf::from).collect()
    }

    #[test]
    fn a_real_folder_is_told_by_its_filesystem_as_df_does() {
        let folder = tempfile::tempdir().unwrap();
        let inside = folder.path().join("output");
        std::fs::create_dir(&inside).unwrap();
        let named = [folder.path().to_owned(), inside];
        let storage = read(&mut FolderProbe::new(named.iter())).unwrap();
        let room = rustix::fs::statvfs(folder.path()).unwrap();
        let [filesystem] = storage.filesystems.as_slice() else { panic!("{storage:?}") };
        assert!(folder.path().canonicalize().unwrap().starts_with(&filesystem.mountpoint));
        assert_eq!(filesystem.size_bytes, Some(room.f_blocks * room.f_frsize));
        let difference = filesystem.avail_bytes.unwrap().abs_diff(room.f_bavail * room.f_frsize);
        assert!(
            difference < room.f_blocks * room.f_frsize / 10,
            "others write too, but not so much: {difference}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_does_not_hide_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let named = [folder.path().to_owned(), folder.path().join("missing")];
        let mut probe = FolderProbe::new(named.iter());
        assert_eq!(read(&mut probe).unwrap().filesystems.len(), 1);
        assert_eq!(probe.told.news([named[1].clone()]).begun, BTreeSet::new());

        let failure = read(&mut FolderProbe::new(named[1..].iter())).unwrap_err();
        assert_eq!(failure.reason, "io");
        assert!(failure.message.contains("missing"), "{failure}");
    }

    /// Held by the test for as long as the server of `/hung` is gone.
    static SERVER: Mutex<()> = Mutex::new(());

    fn look_at_server(folder: &Path) -> io::Result<Sight> {
        let name = folder.to_string_lossy();
        let _answers = (name == "/hung").then(|| SERVER.lock().unwrap());
        Ok(sight(&name, None, (0, 0)))
    }

    #[test]
    fn a_folder_that_hangs_takes_no_other_with_it_and_is_told_again_when_it_answers() {
        let gone = SERVER.lock().unwrap();
        let named = folders(&["/hung", "/local"]);
        let mut probe = FolderProbe::with(named.iter(), look_at_server, Duration::from_millis(500));
        for _ in 0..2 {
            assert_eq!(mountpoints(&read(&mut probe).unwrap()), ["/local"]);
        }
        drop(gone);
        let give_up = Instant::now() + Duration::from_secs(10);
        while mountpoints(&read(&mut probe).unwrap()) != ["/hung", "/local"] {
            assert!(Instant::now() < give_up);
        }
    }

    #[test]
    fn every_device_is_told_once_under_the_name_it_was_mounted_by() {
        let counters = |device, name: &str| Counters {
            device,
            name: name.to_owned(),
            read_bytes: 1024,
            written_bytes: 512,
        };
        let all = [counters((8, 17), "sdb1"), counters((253, 0), "dm-0"), counters((259, 2), "nvme0n1p2")];
        let sights = vec![
            sight("/", Some("mapper/vg0-root"), (253, 0)),
            sight("/root/ComfyUI/models", Some("nvme0n1p2"), (259, 2)),
            sight("/root/ComfyUI/output", Some("nvme0n1p2"), (259, 2)),
            sight("/mnt/nas", None, (0, 61)),
            sight("/gone", Some("sdz1"), (65, 1)),
        ];
        let storage = storage(sights, &all);
        let devices: Vec<_> = storage.disks.iter().map(|disk| disk.device.as_str()).collect();
        assert_eq!(devices, ["mapper/vg0-root", "nvme0n1p2"]);
        assert_eq!(storage.disks[0].read_bytes_total, Some(1024));
        assert_eq!(storage.filesystems.len(), 5);
    }
}
