//! Going through one models folder. A walk asks the filesystem only for what may have changed since the one before: the
//! time of every folder, and the size of files that were written lately.

use std::collections::HashMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::Found;
use super::listing::{File, Listing};
use super::tree::{FolderState, Tree};
use crate::limits::{MODEL_FOLDERS, MODELS_DEPTH};

/// One models folder, and how its folders were listed.
pub(super) struct Walker<T> {
    tree: T,
    root: PathBuf,
    listings: HashMap<PathBuf, Listing>,
}

/// A folder that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) error: io::Error,
}

impl<T: Tree> Walker<T> {
    pub(super) fn new(tree: T, root: PathBuf) -> Self {
        Self { tree, root, listings: HashMap::new() }
    }

    /// Adds what the folder holds.
    ///
    /// # Errors
    /// The folder itself cannot be read. Folders below it that cannot are told in `found`.
    pub(super) fn walk(&mut self, found: &mut Found, now: SystemTime) -> Result<(), Unreadable> {
        let before = std::mem::take(&mut self.listings);
        let mut walk =
            Walk { tree: &self.tree, before, after: HashMap::new(), trail: Vec::new(), found, now };
        let told = walk.enter(&self.root, None);
        self.listings = walk.after;
        told.map_err(|error| Unreadable { path: self.root.clone(), error })
    }
}

struct Walk<'a, T> {
    tree: &'a T,
    before: HashMap<PathBuf, Listing>,
    after: HashMap<PathBuf, Listing>,
    /// The folders that lead to the present one: a link to one of them is a loop.
    trail: Vec<(u64, u64)>,
    found: &'a mut Found,
    now: SystemTime,
}

/// What the files of a folder are called: ComfyUI's kind of model, and the path below it.
#[derive(Clone, Copy)]
struct Names<'a> {
    kind: &'a str,
    prefix: &'a str,
}

impl<T: Tree> Walk<'_, T> {
    fn enter(&mut self, path: &Path, names: Option<Names<'_>>) -> io::Result<()> {
        let state = self.tree.folder(path)?;
        if self.trail.contains(&state.id) {
            return Ok(());
        }
        if self.trail.len() > MODELS_DEPTH || self.after.len() >= MODEL_FOLDERS || self.found.is_full {
            self.found.truncated = true;
            return Ok(());
        }
        let mut listing = self.listing(path, state)?;
        self.found.truncated |= listing.truncated;
        self.found.is_misnamed |= listing.is_misnamed;
        if let Some(names) = names {
            self.add_files(path, names, &mut listing.files);
        }
        let folders = std::mem::take(&mut listing.folders);
        // Before its folders, so that they count against the bound in the order of the walk.
        self.after.insert(path.to_owned(), listing);
        self.trail.push(state.id);
        for folder in &folders {
            self.descend(path, folder, names);
        }
        self.trail.pop();
        if let Some(listing) = self.after.get_mut(path) {
            listing.folders = folders;
        }
        Ok(())
    }

    fn descend(&mut self, parent: &Path, folder: &str, names: Option<Names<'_>>) {
        let path = parent.join(folder);
        let prefix = names.map(|names| format!("{}{folder}/", names.prefix)).unwrap_or_default();
        let kind = names.map_or(folder, |names| names.kind);
        if let Err(error) = self.enter(&path, Some(Names { kind, prefix: &prefix })) {
            self.found.unreadable.push(Unreadable { path, error });
        }
    }

    fn listing(&mut self, path: &Path, state: FolderState) -> io::Result<Listing> {
        if let Some(listing) = self.before.remove(path).filter(|listing| listing.holds(state, self.now)) {
            return Ok(listing);
        }
        let mut listing = Listing::new(state, self.now);
        self.tree.list(path, &mut |name, kind| listing.take(name, kind))?;
        Ok(listing)
    }

    fn add_files(&mut self, path: &Path, names: Names<'_>, files: &mut [File]) {
        for file in files {
            if let Some(bytes) = self.bytes(path, file) {
                self.found.add(names.kind, format!("{}{}", names.prefix, file.name), bytes);
            }
        }
    }

    /// The size of a file if it can be told; `None` for one that is not there, such as what a dead link names.
    fn bytes(&self, path: &Path, file: &mut File) -> Option<Option<u64>> {
        if let Some(bytes) = file.settled_bytes {
            return Some(Some(bytes));
        }
        match self.tree.file(&path.join(&file.name)) {
            Ok(state) => {
                file.settle(state, self.now);
                Some(Some(state.bytes))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(_) => Some(None),
        }
    }
}
