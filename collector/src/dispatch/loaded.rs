//! The files of earlier jobs and the uploads of types other than `input` that a prompt loads (`x.png [output]`): where
//! each is, and what it is called on the backend that the prompt goes to. Pure.
//!
//! A copy goes to the backend's folder `temp`, into a subfolder of ours: there it replaces nothing that the backend made,
//! and the backend itself removes it at its next start.

use std::collections::HashMap;

use comfyui::api::FileRef;

use crate::id::BackendId;
use crate::job::{as_input, owner_of, without_backend};

const OURS: &str = "orchestrator";
/// Stands where a backend's name does otherwise; none can be called so.
const UPLOADS: &str = ".uploads";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// It is there already.
    There,
    /// With another backend, under the name that it has there.
    With(BackendId, FileRef),
    Kept(FileRef),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Loaded {
    pub source: Source,
    /// Its name on the backend that the prompt goes to.
    pub there: FileRef,
    /// As the prompt may name it.
    texts: Vec<String>,
}

/// Of each file that is known, where it is for `backend`; what is not known stays as the prompt has it.
pub(super) fn plan(
    outputs: &[FileRef],
    backend: &BackendId,
    is_backend: impl Fn(&BackendId) -> bool,
    is_kept: impl Fn(&FileRef) -> bool,
) -> Vec<Loaded> {
    let locate = |file: &FileRef| match owner_of(file).filter(|(owner, _)| is_backend(owner)) {
        Some((owner, there)) if owner == *backend => Some((Source::There, there)),
        Some((owner, there)) => {
            let copy = copy_of(&there, owner.as_str());
            Some((Source::With(owner, there), copy))
        }
        None => is_kept(file).then(|| (Source::Kept(file.clone()), copy_of(file, UPLOADS))),
    };
    let loaded = |file: &FileRef| {
        let (source, there) = locate(file)?;
        Some(Loaded { texts: texts_of(file, &source, outputs), source, there })
    };
    outputs.iter().filter_map(loaded).collect()
}

/// A client may have left the backend's name away, where it was clear whose file it meant.
fn texts_of(file: &FileRef, source: &Source, outputs: &[FileRef]) -> Vec<String> {
    let is_made = !matches!(source, Source::Kept(_));
    let bare = without_backend(file).filter(|bare| is_made && !outputs.contains(bare));
    std::iter::once(file).chain(&bare).map(as_input).collect()
}

fn copy_of(file: &FileRef, owner: &str) -> FileRef {
    let separator = if file.subfolder.is_empty() { "" } else { "/" };
    let subfolder = format!("{OURS}/{owner}/{}{separator}{}", file.kind, file.subfolder);
    FileRef { subfolder, kind: "temp".to_owned(), ..file.clone() }
}

/// Text in the prompt → text for the backend, of those that differ.
pub(super) fn names(loaded: &[Loaded]) -> HashMap<&str, String> {
    let texts = loaded.iter().flat_map(|file| file.texts.iter().map(|text| (text, as_input(&file.there))));
    texts.filter(|(text, there)| *text != there).map(|(text, there)| (text.as_str(), there)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(subfolder: &str, kind: &str) -> FileRef {
        FileRef { filename: "x.png".into(), subfolder: subfolder.into(), kind: kind.into() }
    }

    /// On backend `a` of `a` and `b`; the collector keeps `x.png [temp]`.
    fn named(outputs: &[FileRef]) -> Vec<(Source, String, String)> {
        let is_backend = |id: &BackendId| ["a", "b"].contains(&id.as_str());
        let loaded = plan(outputs, &"a".parse().unwrap(), is_backend, |kept| *kept == file("", "temp"));
        let mut all: Vec<_> = loaded
            .iter()
            .flat_map(|one| {
                let names = names(std::slice::from_ref(one));
                let pairs = names.into_iter().map(|(from, to)| (from.to_owned(), to));
                pairs.map(|(from, to)| (one.source.clone(), from, to)).collect::<Vec<_>>()
            })
            .collect();
        all.sort_by(|one, other| one.1.cmp(&other.1));
        all
    }

    #[test]
    fn on_its_own_backend_a_file_only_loses_that_backends_name() {
        let expected = (Source::There, "a/s/x.png [output]".to_owned(), "s/x.png [output]".to_owned());
        assert_eq!(named(&[file("a/s", "output")]), [expected]);
    }

    #[test]
    fn another_backends_file_is_copied_to_a_folder_of_ours_however_it_is_named() {
        let copy = "orchestrator/b/output/s/x.png [temp]".to_owned();
        let source = Source::With("b".parse().unwrap(), file("s", "output"));
        let pair = |text: &str| (source.clone(), text.to_owned(), copy.clone());
        assert_eq!(named(&[file("b/s", "output")]), [pair("b/s/x.png [output]"), pair("s/x.png [output]")]);
    }

    #[test]
    fn a_name_that_stands_in_the_prompt_by_itself_is_not_taken_for_another_backends() {
        let named = named(&[file("b", "temp"), file("", "temp")]);
        let texts: Vec<_> = named.iter().map(|(_, from, to)| (from.as_str(), to.as_str())).collect();
        assert_eq!(
            texts,
            [
                ("b/x.png [temp]", "orchestrator/b/temp/x.png [temp]"),
                ("x.png [temp]", "orchestrator/.uploads/temp/x.png [temp]")
            ]
        );
    }

    #[test]
    fn what_is_nobodys_stays_as_it_is() {
        assert_eq!(named(&[file("", "output"), file("folder", "output")]), []);
    }
}
