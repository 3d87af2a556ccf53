//! Files that backends made, as clients name them: the first segment of `subfolder` is the backend's name. Pure.

use comfyui::api::FileRef;
use comfyui::needs::InputFile;

use crate::id::BackendId;

/// The backend that the subfolder names, and the file as that backend knows it; `None` where no backend could be called
/// so. Whether there is such a backend is for the caller to know.
pub fn owner_of(file: &FileRef) -> Option<(BackendId, FileRef)> {
    let (first, rest) = file.subfolder.split_once('/').unwrap_or((&file.subfolder, ""));
    let there = FileRef { subfolder: rest.to_owned(), ..file.clone() };
    Some((first.parse().ok()?, there))
}

/// The file as clients name it that this backend calls so.
pub fn made_by(backend: &BackendId, there: &FileRef) -> FileRef {
    let separator = if there.subfolder.is_empty() { "" } else { "/" };
    FileRef { subfolder: format!("{backend}{separator}{}", there.subfolder), ..there.clone() }
}

/// The same without the backend.
pub fn without_backend(file: &FileRef) -> Option<FileRef> {
    owner_of(file).map(|(_, there)| there)
}

/// The file that an input of ComfyUI's folder `input` names.
pub fn input_file(file: &InputFile) -> FileRef {
    FileRef { filename: file.name.clone(), subfolder: file.subfolder.clone(), kind: "input".to_owned() }
}

/// How a loader's input names it: `sub/name.png [output]`, without the type for one of the folder `input`.
pub fn as_input(file: &FileRef) -> String {
    let separator = if file.subfolder.is_empty() { "" } else { "/" };
    let path = format!("{}{separator}{}", file.subfolder, file.filename);
    if file.kind == "input" { path } else { format!("{path} [{}]", file.kind) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(subfolder: &str) -> FileRef {
        FileRef { filename: "x.png".into(), subfolder: subfolder.into(), kind: "temp".into() }
    }

    #[test]
    fn the_first_segment_names_the_backend() {
        let (owner, there) = owner_of(&file("gpu-1/a/b")).unwrap();
        assert_eq!((owner.as_str(), there.clone()), ("gpu-1", file("a/b")));
        assert_eq!(made_by(&owner, &there), file("gpu-1/a/b"));
        assert_eq!(made_by(&owner, &file("")), file("gpu-1"));
        assert_eq!(without_backend(&file("gpu-1")).unwrap(), file(""));
        assert!(owner_of(&file("")).is_none() && owner_of(&file("no name/x")).is_none());
    }

    #[test]
    fn a_loader_names_a_file_by_path_and_type() {
        assert_eq!(as_input(&file("a/b")), "a/b/x.png [temp]");
        assert_eq!(as_input(&file("")), "x.png [temp]");
        assert_eq!(as_input(&input_file(&InputFile::named_by("s/y.png"))), "s/y.png");
    }
}
