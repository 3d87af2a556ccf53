//! What one listing of a folder told, and how long that holds. Pure: times are arguments.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::tree::{FileState, FolderState, Kind};
use crate::limits::{MODEL_FILES, MODELS_SETTLED, MODELS_TRUST, TIMESTAMP_GRANULARITY};

/// What ComfyUI takes for model files (`supported_pt_extensions` of its `folder_paths.py`), and two more that common
/// custom nodes load.
const EXTENSIONS: [&str; 10] =
    ["ckpt", "pt", "pt2", "bin", "pth", "safetensors", "pkl", "sft", "gguf", "onnx"];

/// A folder as it was listed.
#[derive(Debug)]
pub(super) struct Listing {
    state: FolderState,
    listed: SystemTime,
    pub(super) files: Vec<File>,
    pub(super) folders: Vec<String>,
    pub(super) truncated: bool,
    pub(super) is_misnamed: bool,
}

/// A file of a listing.
#[derive(Debug)]
pub(super) struct File {
    pub(super) name: String,
    /// Its size, if it is not to be asked for again.
    pub(super) settled_bytes: Option<u64>,
}

impl Listing {
    /// A listing that has begun, of a folder that was so before it began.
    pub(super) fn new(state: FolderState, now: SystemTime) -> Self {
        let (files, folders) = (Vec::new(), Vec::new());
        Self { state, listed: now, files, folders, truncated: false, is_misnamed: false }
    }

    /// Takes an entry if it may lead to models; answers whether there is room for more.
    pub(super) fn take(&mut self, name: OsString, kind: Kind) -> bool {
        if self.files.len() + self.folders.len() >= MODEL_FILES {
            self.truncated = true;
            return false;
        }
        match (name.into_string(), kind) {
            (Ok(name), Kind::Folder) if !name.starts_with('.') => self.folders.push(name),
            (Ok(name), Kind::File) if is_model(Path::new(&name)) => {
                self.files.push(File { name, settled_bytes: None });
            }
            (Err(name), Kind::File) => self.is_misnamed |= is_model(Path::new(&name)),
            (Err(_), Kind::Folder) => self.is_misnamed = true,
            _ => {}
        }
        true
    }

    /// Whether the folder need not be listed again: it is the same and nothing came or went. Timestamps are coarse, so
    /// that a listing right after a change may have missed the next one; and some network filesystems do not keep
    /// them, so that no listing holds for ever.
    pub(super) fn holds(&self, state: FolderState, now: SystemTime) -> bool {
        let is_certain = is_longer(self.state.modified, self.listed, TIMESTAMP_GRANULARITY);
        let is_fresh = now.duration_since(self.listed).is_ok_and(|age| age < MODELS_TRUST);
        self.state == state && is_certain && is_fresh
    }
}

impl File {
    /// Takes what was asked of the file. One that was written lately may still be growing, and is asked again.
    pub(super) fn settle(&mut self, state: FileState, now: SystemTime) {
        self.settled_bytes = is_longer(state.modified, now, MODELS_SETTLED).then_some(state.bytes);
    }
}

fn is_longer(from: SystemTime, to: SystemTime, than: Duration) -> bool {
    to.duration_since(from).is_ok_and(|age| age > than)
}

fn is_model(name: &Path) -> bool {
    let extension = name.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|own| EXTENSIONS.iter().any(|known| own.eq_ignore_ascii_case(known)))
}
