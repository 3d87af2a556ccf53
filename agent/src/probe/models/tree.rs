//! What a walk asks of the filesystem: the one place here that touches it.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

/// A tree of folders. Links are followed, as ComfyUI does.
pub(super) trait Tree: Clone + Send {
    /// Which folder this is, and when an entry of it last came or went.
    fn folder(&self, path: &Path) -> io::Result<FolderState>;

    /// Gives every entry to `take`, which answers whether it wants more.
    fn list(&self, path: &Path, take: &mut dyn FnMut(OsString, Kind) -> bool) -> io::Result<()>;

    /// A file as it is now.
    fn file(&self, path: &Path) -> io::Result<FileState>;
}

/// What tells one folder from another, and its present from its past.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FolderState {
    /// Device and inode.
    pub(super) id: (u64, u64),
    pub(super) modified: SystemTime,
}

/// Size and time of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FileState {
    pub(super) bytes: u64,
    pub(super) modified: SystemTime,
}

/// What an entry is, or what its link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// A file, or a link that leads nowhere today.
    File,
    Folder,
    /// A socket, a device and the like.
    Other,
}

/// The machine's filesystems.
#[derive(Clone, Copy, Debug)]
pub(super) struct Os;

impl Tree for Os {
    fn folder(&self, path: &Path) -> io::Result<FolderState> {
        let metadata = std::fs::metadata(path)?;
        Ok(FolderState { id: (metadata.dev(), metadata.ino()), modified: metadata.modified()? })
    }

    fn list(&self, path: &Path, take: &mut dyn FnMut(OsString, Kind) -> bool) -> io::Result<()> {
        for entry in std::fs::read_dir(path)? {
            let entry = entry?;
            if !take(entry.file_name(), kind(&entry)) {
                break;
            }
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> io::Result<FileState> {
        let metadata = std::fs::metadata(path)?;
        Ok(FileState { bytes: metadata.len(), modified: metadata.modified()? })
    }
}

/// What cannot be told has gone since the folder was opened.
fn kind(entry: &std::fs::DirEntry) -> Kind {
    match entry.file_type() {
        Ok(own) if own.is_symlink() => {
            std::fs::metadata(entry.path()).map_or(Kind::File, |target| kind_of(target.file_type()))
        }
        own => own.map_or(Kind::Other, kind_of),
    }
}

fn kind_of(file_type: std::fs::FileType) -> Kind {
    match file_type {
        kind if kind.is_dir() => Kind::Folder,
        kind if kind.is_file() => Kind::File,
        _ => Kind::Other,
    }
}
