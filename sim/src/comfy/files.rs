//! A server's folders for input, output and temporary files: kept in memory, so that nothing is left behind.
//!
//! Owns ComfyUI's rules for names and places; knows nothing of HTTP.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bytes::Bytes;

use crate::generation::Generation;
use crate::lock::locked;

/// One of ComfyUI's three folders.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Folder {
    Input,
    Output,
    Temp,
}

impl Folder {
    /// By the name of requests and documents.
    pub(crate) fn named(name: &str) -> Option<Self> {
        match name {
            "input" => Some(Self::Input),
            "output" => Some(Self::Output),
            "temp" => Some(Self::Temp),
            _ => None,
        }
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Input => "input",
            Self::Output => "output",
            Self::Temp => "temp",
        }
    }
}

/// Where a file is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) folder: Folder,
    /// Without slashes at its ends; empty for the folder itself.
    pub(crate) subfolder: String,
    pub(crate) filename: String,
}

impl Place {
    /// What a `LoadImage` names: `sub/name.png`, `name.png [output]`. `None` where that leaves the folder.
    pub(crate) fn annotated(name: &str) -> Option<Self> {
        let (path, folder) = [Folder::Input, Folder::Output, Folder::Temp]
            .into_iter()
            .find_map(|folder| {
                let ending = format!(" [{}]", folder.name());
                name.strip_suffix(ending.as_str()).map(|path| (path, folder))
            })
            .unwrap_or((name, Folder::Input));
        let (subfolder, filename) = path.rsplit_once('/').unwrap_or(("", path));
        Some(Self { folder, subfolder: inside(subfolder)?, filename: filename.to_owned() })
    }
}

/// A subfolder in its shortest form, or `None` where it leads outside.
pub(crate) fn inside(subfolder: &str) -> Option<String> {
    let mut parts = Vec::new();
    if subfolder.starts_with('/') {
        return None;
    }
    for part in subfolder.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// The three folders. They outlive the server's process, as a disk does.
#[derive(Debug, Default)]
pub(crate) struct Disk(Mutex<BTreeMap<Place, Bytes>>);

impl Disk {
    pub(crate) fn read(&self, place: &Place) -> Option<Bytes> {
        locked(&self.0).get(place).cloned()
    }

    /// What ComfyUI does when it starts.
    pub(crate) fn empty_temp(&self) {
        locked(&self.0).retain(|place, _| place.folder != Folder::Temp);
    }

    pub(crate) fn empty_output(&self) {
        locked(&self.0).retain(|place, _| place.folder != Folder::Output);
    }

    /// Names of the files that lie in the input folder itself: the choices of `LoadImage`.
    pub(crate) fn inputs(&self) -> Vec<String> {
        let files = locked(&self.0);
        let top = files.keys().filter(|place| place.folder == Folder::Input && place.subfolder.is_empty());
        top.map(|place| place.filename.clone()).collect()
    }

    /// Stores an upload under ComfyUI's rule for names and says which name that was: both generations number
    /// a name that is taken, but 0.8 gives the same bytes their old name back.
    pub(crate) fn upload(
        &self,
        mut place: Place,
        bytes: Bytes,
        overwrite: bool,
        generation: Generation,
    ) -> Place {
        let mut files = locked(&self.0);
        let (stem, ending) = split_ending(&place.filename);
        let mut number = 1_u32;
        while !overwrite && let Some(there) = files.get(&place) {
            if generation.is_current() && *there == bytes {
                return place;
            }
            place.filename = format!("{stem} ({number}){ending}");
            number += 1;
        }
        files.insert(place.clone(), bytes);
        place
    }

    /// Stores a picture as `prefix_00001_.png`, with the number after the highest that is there.
    pub(crate) fn save_numbered(&self, folder: Folder, prefix: &str, bytes: Bytes) -> Option<Place> {
        let (subfolder, name) = prefix.rsplit_once('/').unwrap_or(("", prefix));
        let subfolder = inside(subfolder)?;
        let mut files = locked(&self.0);
        let taken = files.keys().filter(|place| place.folder == folder && place.subfolder == subfolder);
        let highest = taken.filter_map(|place| number_of(&place.filename, name)).max().unwrap_or(0);
        let filename = format!("{name}_{:05}_.png", highest + 1);
        let place = Place { folder, subfolder, filename };
        files.insert(place.clone(), bytes);
        Some(place)
    }
}

fn split_ending(filename: &str) -> (String, String) {
    match filename.rfind('.').filter(|&at| at > 0).and_then(|at| filename.split_at_checked(at)) {
        Some((stem, ending)) => (stem.to_owned(), ending.to_owned()),
        None => (filename.to_owned(), String::new()),
    }
}

fn number_of(filename: &str, prefix: &str) -> Option<u64> {
    let rest = filename.strip_prefix(prefix)?.strip_prefix('_')?;
    rest.split('_').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(filename: &str) -> Place {
        Place { folder: Folder::Input, subfolder: String::new(), filename: filename.to_owned() }
    }

    #[test]
    fn a_subfolder_cannot_leave_its_folder() {
        assert_eq!(inside("a//b/../c/"), Some("a/c".to_owned()));
        assert_eq!(inside("../x"), None);
        assert_eq!(inside("a/../../x"), None);
        assert_eq!(inside("/etc"), None);
    }

    #[test]
    fn a_name_may_say_which_folder_it_means() {
        let output = Place::annotated("sub/x.png [output]").unwrap();
        assert_eq!(
            (output.folder, output.subfolder.as_str(), output.filename.as_str()),
            (Folder::Output, "sub", "x.png")
        );
        assert_eq!(Place::annotated("x.png").unwrap().folder, Folder::Input);
    }

    #[test]
    fn only_the_newer_generation_knows_the_same_bytes_again() {
        for (generation, expected) in [(Generation::V0_8, "a.png"), (Generation::V2024, "a (1).png")] {
            let disk = Disk::default();
            let upload = || disk.upload(place("a.png"), Bytes::from_static(b"x"), false, generation).filename;
            assert_eq!(upload(), "a.png");
            assert_eq!(upload(), expected);
        }
    }

    #[test]
    fn pictures_are_numbered_after_the_highest_that_is_there() {
        let disk = Disk::default();
        let save = |prefix: &str| disk.save_numbered(Folder::Output, prefix, Bytes::new()).unwrap().filename;
        assert_eq!(
            [save("a"), save("a_b"), save("a"), save("a")].join(" "),
            "a_00001_.png a_b_00001_.png a_00002_.png a_00003_.png"
        );
        assert_eq!(disk.save_numbered(Folder::Output, "../a", Bytes::new()), None);
    }
}
