//! What is mounted where, as the kernel tells it to this process. Pure.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

/// One line of `/proc/self/mountinfo` (proc_pid_mountinfo(5)), as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::probe) struct Mount {
    /// Number of the device below; its major part is 0 where there is none, or where the filesystem hides which.
    pub(in crate::probe) device: (u32, u32),
    /// Where it is mounted, as this process sees it.
    pub(in crate::probe) mountpoint: PathBuf,
    /// The kind of filesystem, such as `ext4`.
    pub(in crate::probe) kind: String,
    /// What is mounted: a device file, a server's folder, or any word.
    pub(in crate::probe) source: PathBuf,
}

/// All mounts, in the order in which they were made.
pub(in crate::probe) fn mounts(mountinfo: &[u8]) -> Vec<Mount> {
    mountinfo.split(|byte| *byte == b'\n').filter_map(mount).collect()
}

/// The mount that holds a folder, which must be absolute and free of links. Of two at one place the later hides the
/// earlier.
pub(in crate::probe) fn holder<'a>(mounts: &'a [Mount], folder: &Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| folder.starts_with(&mount.mountpoint));
    above.max_by_key(|mount| mount.mountpoint.components().count())
}

/// Parses `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw`; of the words before the dash there may be
/// none or several.
fn mount(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let device = numbers(words.nth(2)?)?;
    let mountpoint = path(words.nth(1)?);
    let mut words = words.skip_while(|word| *word != b"-");
    let kind = String::from_utf8_lossy(words.nth(1)?).into_owned();
    Some(Mount { device, mountpoint, kind, source: path(words.next()?) })
}

fn numbers(word: &[u8]) -> Option<(u32, u32)> {
    let (major, minor) = std::str::from_utf8(word).ok()?.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

/// The kernel writes what would break a line (space, tab, newline, backslash, number sign) as three octal digits.
fn path(word: &[u8]) -> PathBuf {
    let mut bytes = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, after)) = rest.split_first() {
        let escaped = after.first_chunk().filter(|_| *first == b'\\').and_then(octal);
        bytes.push(escaped.unwrap_or(*first));
        rest = if escaped.is_some() { after.get(3..).unwrap_or_default() } else { after };
    }
    OsString::from_vec(bytes).into()
}

fn octal(digits: &[u8; 3]) -> Option<u8> {
    u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DESKTOP: &[u8] = include_bytes!("../../../tests/data/mountinfo/desktop.txt");
    const CONTAINER: &[u8] = include_bytes!("../../../tests/data/mountinfo/container.txt");

    #[test]
    fn a_folder_is_held_by_the_mount_that_is_nearest_above_it() {
        let cases = [
            (DESKTOP, "/home/artist/ComfyUI/output", "/", "/dev/mapper/vg0-root", (253, 0)),
            (DESKTOP, "/srv/models/checkpoints", "/srv/models", "/dev/nvme1n1p1", (259, 5)),
            (DESKTOP, "/srv/models-old", "/", "/dev/mapper/vg0-root", (253, 0)),
            (DESKTOP, "/srv/my models/loras", "/srv/my models", "/dev/sdb1", (8, 17)),
            (DESKTOP, "/mnt/nas/models", "/mnt/nas", "nas.lan:/export/ai", (0, 61)),
            (DESKTOP, "/data/output", "/data", "/dev/sdc", (0, 47)),
            (DESKTOP, "/tmp", "/tmp", "tmpfs", (0, 38)),
            (CONTAINER, "/root/ComfyUI", "/", "overlay", (0, 88)),
            (CONTAINER, "/root/ComfyUI/models/vae", "/root/ComfyUI/models", "/dev/nvme0n1p2", (259, 2)),
            (CONTAINER, "/root/ComfyUI/output", "/root/ComfyUI/output", "/dev/nvme0n1p2", (259, 2)),
            (CONTAINER, "/etc", "/", "overlay", (0, 88)),
        ];
        for (mountinfo, folder, mountpoint, source, device) in cases {
            let mounts = mounts(mountinfo);
            let mount = holder(&mounts, Path::new(folder)).unwrap();
            let told = (mount.mountpoint.to_str().unwrap(), mount.source.to_str().unwrap(), mount.device);
            assert_eq!(told, (mountpoint, source, device), "{folder}");
        }
    }

    #[test]
    fn a_line_is_read_whatever_stands_before_the_dash() {
        let cases: [(&[u8], Option<&str>); 7] = [
            (b"36 35 98:0 /a /b rw - ext3 /dev/root rw", Some("/b")),
            (b"36 35 98:0 /a /b rw master:1 propagate_from:2 - ext3 /dev/root rw", Some("/b")),
            (br"36 35 98:0 /a /b\040\011\134\043x rw - ext3 /dev/root rw", Some("/b \t\\#x")),
            (br"36 35 98:0 /a /b\04 rw - ext3 /dev/root rw", Some(r"/b\04")),
            (b"36 35 98 /a /b rw - ext3 /dev/root rw", None),
            (b"36 35 98:0 /a /b rw", None),
            (b"", None),
        ];
        for (line, expected) in cases {
            let mountpoint = mount(line).map(|mount| mount.mountpoint);
            assert_eq!(mountpoint, expected.map(PathBuf::from), "{}", String::from_utf8_lossy(line));
        }
    }

    #[test]
    fn a_name_that_is_no_text_is_kept_as_it_is() {
        let mounts = mounts(b"36 35 8:1 / /m\xff rw - ext4 /dev/sda1 rw\n");
        assert_eq!(mounts[0].mountpoint.as_os_str().as_encoded_bytes(), b"/m\xff");
        assert_eq!(mounts[0].kind, "ext4");
    }
}
