//! Where a file of a job belongs below a directory. Pure.
//!
//! Names come from servers and prompts, which are strangers': no name leads out of the directory.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use comfyui::api::FileRef;

/// Its folders and its name; `None` where these would lead elsewhere, or are none. `backend` is left out in front.
pub(super) fn below(file: &FileRef, backend: Option<&str>) -> Option<PathBuf> {
    let mut folders = parts(&file.subfolder);
    if backend.is_some() && folders.first().copied() == backend {
        folders.remove(0);
    }
    let names = parts(&file.filename);
    let all = || folders.iter().chain(&names);
    let good = !names.is_empty() && all().all(|part| is_name(part));
    good.then(|| all().collect())
}

/// Windows' separator counts too: a backend may run there.
fn parts(path: &str) -> Vec<&str> {
    path.split(['/', '\\']).filter(|part| !matches!(*part, "" | ".")).collect()
}

fn is_name(part: &str) -> bool {
    part != ".." && !part.contains(char::is_control)
}

/// `name.png` for 0, `name (1).png` for 1.
pub(super) fn numbered(path: &Path, number: usize) -> PathBuf {
    if number == 0 {
        return path.to_owned();
    }
    let mut name = OsString::from(path.file_stem().unwrap_or_default());
    name.push(format!(" ({number})"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(subfolder: &str, filename: &str) -> Option<PathBuf> {
        let (filename, subfolder) = (filename.to_owned(), subfolder.to_owned());
        below(&FileRef { filename, subfolder, kind: "output".to_owned() }, Some("gpu-1"))
    }

    #[test]
    fn folders_are_kept_without_the_backends() {
        for (subfolder, filename, expected) in [
            ("gpu-1", "a.png", "a.png"),
            ("gpu-1/cats/grey", "a.png", "cats/grey/a.png"),
            ("gpu-1/gpu-1", "a.png", "gpu-1/a.png"),
            ("gpu-2", "a.png", "gpu-2/a.png"),
            ("", "a.png", "a.png"),
            ("gpu-1\\cats", "a.png", "cats/a.png"),
            ("gpu-1", "Größe 猫.png", "Größe 猫.png"),
        ] {
            assert_eq!(path(subfolder, filename), Some(expected.into()), "{subfolder} {filename}");
        }
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        for (subfolder, filename, expected) in [
            ("/etc", "/passwd", Some("etc/passwd")),
            ("gpu-1", "./a.png", Some("a.png")),
            ("gpu-1", "..", None),
            ("gpu-1/..", "a.png", None),
            ("gpu-1", "../../.ssh/authorized_keys", None),
            ("gpu-1", "..\\a.png", None),
            ("gpu-1", "", None),
            ("gpu-1", "/", None),
            ("gpu-1", "a\0b", None),
            ("gpu-1", "a\nb", None),
        ] {
            assert_eq!(path(subfolder, filename), expected.map(PathBuf::from), "{subfolder} {filename:?}");
        }
    }

    #[test]
    fn a_number_stands_before_the_ending() {
        for (name, expected) in [
            ("d/a.png", "d/a (2).png"),
            ("a", "a (2)"),
            ("a.b.png", "a.b (2).png"),
            (".hidden", ".hidden (2)"),
        ] {
            assert_eq!(numbered(Path::new(name), 2), Path::new(expected));
        }
    }
}
