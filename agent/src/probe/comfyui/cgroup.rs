//! Control groups of version 2: where they are mounted, how one is found, and what it tells of itself.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::{DirEntryExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::limits::{CGROUPS, PROCESSES};
use crate::probe::procfs::mounts::mounts;

const MICROSECONDS_PER_SECOND: f64 = 1_000_000.0;

/// The hierarchy of version 2, which on hybrid hosts stands beside those of version 1, without their figures.
#[derive(Clone, Debug)]
pub(super) struct Hierarchy {
    root: PathBuf,
}

/// One control group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Cgroup {
    folder: PathBuf,
    /// Below the hierarchy's root, with a leading slash.
    pub(super) path: String,
}

/// More control groups than are walked through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooMany;

impl Hierarchy {
    /// Where version 2 is mounted; `None` if it is not.
    pub(super) fn find(proc: &Path) -> Option<Self> {
        Some(Self { root: root(&fs::read(proc.join("self/mountinfo")).ok()?)? })
    }

    /// The control group of this number, which is the inode number of its folder.
    pub(super) fn by_id(&self, id: u64) -> Result<Option<Cgroup>, TooMany> {
        let mut found = None;
        self.walk(|folder, inode| {
            if inode == id {
                found = Some(folder.to_owned());
            }
            found.is_none()
        })?;
        Ok(found.and_then(|folder| self.cgroup(folder)))
    }

    /// The control groups of this name that have processes; of several units of one name, only some run.
    pub(super) fn populated(&self, unit: &Path) -> Result<Vec<Cgroup>, TooMany> {
        let mut found = Vec::new();
        self.walk(|folder, _| {
            if folder.ends_with(unit) {
                found.extend(self.cgroup(folder.to_owned()).filter(Cgroup::is_populated));
            }
            true
        })?;
        Ok(found)
    }

    /// The control group at a path as `/proc/PID/cgroup` tells it. It may lie outside of what is mounted here.
    pub(super) fn at(&self, path: &str) -> Option<Cgroup> {
        let below = Path::new(path.strip_prefix('/')?);
        let is_below = below.components().all(|part| matches!(part, Component::Normal(_)));
        let folder = self.root.join(below);
        (is_below && folder.is_dir()).then(|| self.cgroup(folder)).flatten()
    }

    fn cgroup(&self, folder: PathBuf) -> Option<Cgroup> {
        let below = folder.strip_prefix(&self.root).ok()?;
        let path = format!("/{}", below.to_string_lossy());
        Some(Cgroup { folder, path })
    }

    fn walk(&self, visit: impl FnMut(&Path, u64) -> bool) -> Result<(), TooMany> {
        walk(&self.root, visit)
    }
}

/// Goes through a folder and those below it, the upper ones first, while `visit` wants more.
fn walk(top: &Path, mut visit: impl FnMut(&Path, u64) -> bool) -> Result<(), TooMany> {
    let Ok(metadata) = fs::metadata(top) else { return Ok(()) };
    let mut ahead = VecDeque::from([(top.to_owned(), metadata.ino())]);
    let mut seen = 0;
    while let Some((folder, inode)) = ahead.pop_front() {
        if seen == CGROUPS {
            return Err(TooMany);
        }
        seen += 1;
        if !visit(&folder, inode) {
            return Ok(());
        }
        // A control group may go while it is walked through.
        let below = fs::read_dir(&folder).into_iter().flatten().flatten().take(CGROUPS);
        let below = below.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()));
        ahead.extend(below.map(|entry| (entry.path(), entry.ino())));
    }
    Ok(())
}

fn root(mountinfo: &[u8]) -> Option<PathBuf> {
    let mut mounts = mounts(mountinfo).into_iter();
    mounts.find(|mount| mount.kind == "cgroup2").map(|mount| mount.mountpoint)
}

impl Cgroup {
    /// Whether it is there still and has this number.
    pub(super) fn has_id(&self, id: u64) -> bool {
        fs::metadata(&self.folder).is_ok_and(|metadata| metadata.ino() == id)
    }

    /// Whether it or a control group below it has processes.
    pub(super) fn is_populated(&self) -> bool {
        self.number("cgroup.events", "populated") == Some(1)
    }

    /// All its processes, those of the control groups below it too. Those in a container that this process cannot see
    /// have no number here and are left out.
    pub(super) fn pids(&self) -> Result<Vec<u32>, TooMany> {
        let mut pids = Vec::new();
        walk(&self.folder, |folder, _| {
            // One of threads cannot be read; its processes are told by the one above.
            let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
            pids.extend(text.lines().filter_map(|line| line.parse().ok()).filter(|pid: &u32| *pid != 0));
            pids.len() <= PROCESSES
        })?;
        if pids.len() > PROCESSES { Err(TooMany) } else { Ok(pids) }
    }

    /// Memory that it is charged with, less the files in it that nobody has read again: ComfyUI maps files of many
    /// gigabytes, which the kernel drops when somebody needs the room. Kubernetes calls this the working set.
    pub(super) fn memory_bytes(&self) -> Option<u64> {
        let charged: u64 = self.text("memory.current")?.trim().parse().ok()?;
        Some(charged.saturating_sub(self.number("memory.stat", "inactive_file")?))
    }

    /// Processor time, user and system, of all that ever ran in it.
    pub(super) fn cpu_seconds(&self) -> Option<f64> {
        Some(self.number("cpu.stat", "usage_usec")? as f64 / MICROSECONDS_PER_SECOND)
    }

    fn text(&self, file: &str) -> Option<String> {
        fs::read_to_string(self.folder.join(file)).ok()
    }

    /// The number after a key, in a file of one pair a line.
    fn number(&self, file: &str, key: &str) -> Option<u64> {
        let text = self.text(file)?;
        let mut pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.find(|(name, _)| *name == key)?.1.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hierarchy_of_version_2_is_found_alone_or_beside_version_1() {
        let cases = [
            (
                "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate",
                Some("/sys/fs/cgroup"),
            ),
            ("41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw", Some("/sys/fs/cgroup/unified")),
            ("32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu", None),
            ("31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw", None),
            ("", None),
        ];
        for (line, expected) in cases {
            assert_eq!(root(line.as_bytes()), expected.map(PathBuf::from), "{line}");
        }
    }

    #[test]
    fn a_path_outside_of_what_is_mounted_is_no_control_group() {
        let folder = tempfile::tempdir().unwrap();
        let hierarchy = Hierarchy { root: folder.path().join("cgroup") };
        std::fs::create_dir_all(folder.path().join("cgroup/a.service")).unwrap();
        assert_eq!(hierarchy.at("/a.service").unwrap().path, "/a.service");
        for path in ["/..", "/a.service/../..", "/b.service", "a.service", ""] {
            assert_eq!(hierarchy.at(path), None, "{path}");
        }
    }
}
