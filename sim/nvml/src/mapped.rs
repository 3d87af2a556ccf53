//! Which file the running library was loaded from. Settled at its first call and then as fixed as the mapped code: a
//! package that replaces the file later does not change it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

/// Without its symbolic links, which the loader has followed; none where the system does not tell.
pub(crate) fn file() -> Option<&'static Path> {
    static FILE: OnceLock<Option<PathBuf>> = OnceLock::new();
    FILE.get_or_init(|| file_at(&fs::read_to_string("/proc/self/maps").ok()?, own_address())).as_deref()
}

/// The version in the file's name, as in `libnvidia-ml.so.550.54.14`; none in `libnvidia-ml.so.1`.
pub(crate) fn version() -> Option<&'static str> {
    version_of(file()?.file_name()?.to_str()?)
}

fn own_address() -> usize {
    let here: fn() -> usize = own_address;
    here as usize
}

/// The path of the mapping that holds an address, from lines like
/// `7f6d1c000000-7f6d1c022000 r-xp 00021000 08:01 1835 /usr/lib/libnvidia-ml.so.550.54.14 (deleted)`.
fn file_at(maps: &str, address: usize) -> Option<PathBuf> {
    let line = maps.lines().find(|line| holds(line, address).unwrap_or(false))?;
    let path = line.find('/').and_then(|start| line.get(start..))?;
    Some(path.strip_suffix(" (deleted)").unwrap_or(path).into())
}

fn holds(line: &str, address: usize) -> Option<bool> {
    let (start, end) = line.split_once(' ')?.0.split_once('-')?;
    let number = |digits| usize::from_str_radix(digits, 16).ok();
    Some((number(start)?..number(end)?).contains(&address))
}

fn version_of(file_name: &str) -> Option<&str> {
    let (_, version) = file_name.split_once(".so.")?;
    version.contains('.').then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mapping_around_an_address_names_the_file() {
        let maps = "1000-2000 r--p 0 08:01 7 /lib/a b.so.1.2\n\
                    2000-3000 r-xp 0 08:01 8 /lib/c.so (deleted)\n\
                    3000-4000 rw-p 0 0:0 0 \n";
        assert_eq!(file_at(maps, 0x1fff), Some("/lib/a b.so.1.2".into()));
        assert_eq!(file_at(maps, 0x2000), Some("/lib/c.so".into()));
        assert_eq!(file_at(maps, 0x3000), None);
        assert!(file().is_some());
    }

    #[test]
    fn a_version_stands_after_the_dots_of_a_real_name() {
        assert_eq!(version_of("libnvidia-ml.so.550.54.14"), Some("550.54.14"));
        assert_eq!(version_of("libnvidia-ml.so.1"), None);
        assert_eq!(version_of("libsim_nvml.so"), None);
    }
}
