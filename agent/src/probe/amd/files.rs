//! Reading the small files of sysfs. What one file does not tell is absent; when the device has gone, all say so.
//!
//! Files are opened anew at each reading: that costs a few microseconds, and a file that is kept open would keep a
//! driver that was replaced.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use rustix::io::Errno;

use crate::limits::SYSFS_BYTES;

/// The files of one card, and what came of reading them.
#[derive(Debug)]
pub(super) struct Files<'a> {
    device: &'a Path,
    answers: u32,
    gone: u32,
}

impl<'a> Files<'a> {
    pub(super) fn new(device: &'a Path) -> Self {
        Self { device, answers: 0, gone: 0 }
    }

    /// A file of the card's own folder.
    pub(super) fn own(&mut self, name: &str) -> Option<String> {
        let read = read(&self.device.join(name));
        self.take(read)
    }

    /// A number of the card's own folder.
    pub(super) fn own_number<T: FromStr>(&mut self, name: &str) -> Option<T> {
        self.own(name)?.trim().parse().ok()
    }

    /// A number in the file that was found for it, if one was.
    pub(super) fn number(&mut self, path: Option<&PathBuf>) -> Option<f64> {
        let read = read(path?);
        self.take(read)?.trim().parse().ok()
    }

    /// Whether the device has fallen off the bus: nothing answers, and the driver says that there is no device.
    pub(super) fn is_gone(&self) -> bool {
        self.gone > 0 && self.answers == 0
    }

    fn take(&mut self, read: io::Result<String>) -> Option<String> {
        match read {
            Ok(text) => {
                self.answers += 1;
                Some(text)
            }
            Err(error) => {
                self.gone += u32::from(error.raw_os_error() == Some(Errno::NODEV.raw_os_error()));
                None
            }
        }
    }
}

/// The text of a file of sysfs, which has one page at most.
pub(super) fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(SYSFS_BYTES).read_to_string(&mut text)?;
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failed(errno: Errno) -> io::Result<String> {
        Err(io::Error::from_raw_os_error(errno.raw_os_error()))
    }

    #[test]
    fn a_card_is_gone_when_nothing_answers_and_the_driver_says_so() {
        let cases = [
            (vec![failed(Errno::NODEV), failed(Errno::NODEV)], true),
            (vec![failed(Errno::NOENT), failed(Errno::NODEV)], true),
            (vec![failed(Errno::NODEV), Ok("7".to_owned())], false),
            (vec![failed(Errno::PERM), failed(Errno::BUSY)], false),
            (vec![], false),
        ];
        for (reads, expected) in cases {
            let mut files = Files::new(Path::new("/"));
            let told = format!("{reads:?}");
            for read in reads {
                files.take(read);
            }
            assert_eq!(files.is_gone(), expected, "{told}");
        }
    }
}
