//! ComfyUI's rules for the names of files and their folders. Pure.

use comfyui::api::FileRef;

use crate::limits;

#[derive(Debug, thiserror::Error)]
#[error("{file:?} is no name for an uploaded file: it must not be empty, leave its folder, or be longer than {limit} bytes",
    limit = limits::UPLOAD_PATH_BYTES)]
pub struct BadName {
    pub file: String,
}

/// A subfolder in its shortest form; `None` where it leads outside, on whatever system: `/` divides, and what would
/// lead anywhere on Windows is refused. What else stands between slashes is kept as it is.
pub fn inside(subfolder: &str) -> Option<String> {
    if subfolder.starts_with('/') || subfolder.chars().any(char::is_control) {
        return None;
    }
    let mut parts = Vec::new();
    for part in subfolder.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part if leads_away_on_windows(part) => return None,
            part => parts.push(part),
        }
    }
    Some(parts.join("/"))
}

/// `\x`, `C:x`, `a\..\b`.
fn leads_away_on_windows(part: &str) -> bool {
    let has_drive = part.as_bytes().get(1) == Some(&b':');
    part.starts_with('\\') || has_drive || part.split('\\').any(|part| part == "..")
}

/// The name with its subfolder in one form, if it stays inside the folder of its type.
pub fn checked(file: &FileRef) -> Result<FileRef, BadName> {
    let bad = || BadName { file: format!("{}/{}", file.subfolder, file.filename) };
    let path = file.filename.replace('\\', "/");
    let escapes = path.starts_with('/') || path.split('/').any(|part| part == "..");
    let name = path.rsplit('/').next().unwrap_or_default();
    let subfolder = inside(&file.subfolder.replace('\\', "/")).ok_or_else(bad)?;
    let is_bad_name = matches!(name, "" | ".") || name.chars().any(char::is_control);
    let is_long = name.len() > limits::FILE_NAME_BYTES
        || subfolder.split('/').any(|part| part.len() > limits::FILE_NAME_BYTES)
        || subfolder.len() + name.len() >= limits::UPLOAD_PATH_BYTES;
    if escapes || is_bad_name || is_long {
        return Err(bad());
    }
    Ok(FileRef { filename: name.to_owned(), subfolder, kind: file.kind.clone() })
}

/// `a.png`, `a (1).png`, `a (2).png`, ...
pub(super) fn numbered(file: &FileRef) -> impl Iterator<Item = FileRef> + '_ {
    let (stem, ending) = match file.filename.rfind('.') {
        Some(dot) if dot > 0 => file.filename.split_at(dot),
        _ => (file.filename.as_str(), ""),
    };
    let nth = move |n: u64| FileRef { filename: format!("{stem} ({n}){ending}"), ..file.clone() };
    std::iter::once(file.clone()).chain((1..).map(nth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(subfolder: &str, name: &str) -> FileRef {
        FileRef { subfolder: subfolder.into(), filename: name.into(), kind: "input".into() }
    }

    #[test]
    fn names_stay_inside_their_folder() {
        assert_eq!(checked(&file("a//b/.", "c.png")).unwrap(), file("a/b", "c.png"));
        assert_eq!(checked(&file("a/../b", "c.png")).unwrap(), file("b", "c.png"));
        assert_eq!(checked(&file("a\\b", "C:\\x\\c.png")).unwrap(), file("a/b", "c.png"));
        for (subfolder, name) in [
            ("../x", "a"),
            ("/etc", "a"),
            ("a/../../b", "a"),
            ("..\\x", "a"),
            ("C:\\x", "a"),
            ("a\0b", "a"),
            ("", ""),
            ("", ".."),
            ("", "../a"),
            ("", "/etc/passwd"),
            ("", "..\\a"),
            ("", "a\n"),
        ] {
            assert!(checked(&file(subfolder, name)).is_err(), "{subfolder:?} {name:?}");
        }
        assert!(checked(&file("", &"y".repeat(255))).is_ok());
        assert!(checked(&file("", &"y".repeat(256))).is_err());
    }

    #[test]
    fn a_subfolder_is_shortened_and_cannot_lead_outside() {
        for (given, expected) in [
            ("", ""),
            ("a//b/../c/", "a/c"),
            ("a/..", ""),
            ("sub\\dir", "sub\\dir"),
            ("...", "..."),
            ("a b", "a b"),
        ] {
            assert_eq!(inside(given).as_deref(), Some(expected), "{given:?}");
        }
        for outside in
            ["..", "/", "/etc", "a/../..", "\\etc", "..\\..", "a\\..\\..\\b", "C:", "a/C:\\x", "a\0"]
        {
            assert_eq!(inside(outside), None, "{outside:?}");
        }
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_ending() {
        let names: Vec<String> = numbered(&file("x", "up.tar.gz")).take(3).map(|f| f.filename).collect();
        assert_eq!(names, ["up.tar.gz", "up.tar (1).gz", "up.tar (2).gz"]);
        assert_eq!(numbered(&file("", ".hidden")).nth(1).unwrap().filename, ".hidden (1)");
    }
}
