//! Which file a request of `/view` means, by ComfyUI's own rules for what is refused. Pure.

use axum::http::StatusCode;
use comfyui::api::FileRef;

use super::super::Refusal;
use crate::files::inside;

const KINDS: [&str; 3] = ["input", "output", "temp"];

/// The file of three parameters: `type` is `output` where there is none, and the name may tell it by itself
/// (`x.png [temp]`).
pub(in super::super) fn named(
    filename: &str,
    subfolder: &str,
    kind: Option<&str>,
) -> Result<FileRef, Refusal> {
    let annotated = KINDS.iter().find_map(|kind| {
        let name = filename.strip_suffix(']')?.strip_suffix(kind)?.strip_suffix(" [")?;
        Some((name, *kind))
    });
    let (path, kind) = annotated.unwrap_or((filename, kind.unwrap_or("output")));
    let leads_away = path.starts_with(['/', '\\']) || path.contains("..");
    if path.is_empty() || leads_away || path.chars().any(char::is_control) {
        return Err(Refusal::bad_request("bad_file_name", format!("{filename:?} is no name of a file")));
    }
    if !KINDS.contains(&kind) {
        let message = format!("type is {kind:?}; it can be input, output or temp");
        return Err(Refusal::bad_request("bad_type", message));
    }
    let outside = || {
        let message = format!("the subfolder {subfolder:?} leads out of the folder of its type");
        Refusal::new(StatusCode::FORBIDDEN, "outside", message)
    };
    let subfolder = inside(subfolder).ok_or_else(outside)?;
    let name = path.rsplit(['/', '\\']).next().unwrap_or_default();
    if matches!(name, "" | ".") {
        return Err(Refusal::not_found(format!("{filename:?} is no file")));
    }
    Ok(FileRef { filename: name.to_owned(), subfolder, kind: kind.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status(filename: &str, subfolder: &str, kind: Option<&str>) -> u16 {
        named(filename, subfolder, kind).unwrap_err().status.as_u16()
    }

    #[test]
    fn a_file_is_named_by_its_parameters_or_by_itself() {
        let file = |filename: &str, subfolder: &str, kind: &str| FileRef {
            filename: filename.into(),
            subfolder: subfolder.into(),
            kind: kind.into(),
        };
        for (given, expected) in [
            (("a.png", "", None), file("a.png", "", "output")),
            (("a.png", "x//y/", Some("temp")), file("a.png", "x/y", "temp")),
            (("a.png [input]", "", Some("temp")), file("a.png", "", "input")),
            (("a b [1].png", "", Some("input")), file("a b [1].png", "", "input")),
            (("sub/a.png", "", None), file("a.png", "", "output")),
            (("a.png", "gpu-1/../x", None), file("a.png", "x", "output")),
        ] {
            assert_eq!(named(given.0, given.1, given.2).unwrap(), expected, "{given:?}");
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused_as_comfyui_refuses_it() {
        for filename in
            ["../x.png", "..", "/etc/passwd", "\\x", "a/../b", "..\\x", "x\0.png", "", "a\n", " [output]"]
        {
            assert_eq!(status(filename, "", None), 400, "{filename:?}");
        }
        for subfolder in
            ["..", "../..", "/", "/etc", "a/../..", "..\\..", "\\etc", "C:\\", "a/..\\..", "\0", "gpu/../.."]
        {
            assert_eq!(status("a.png", subfolder, None), 403, "{subfolder:?}");
        }
        for kind in ["secret", "", "models", "Output"] {
            assert_eq!(status("a.png", "", Some(kind)), 400, "{kind:?}");
        }
        assert_eq!(status("sub/", "", None), 404);
        assert_eq!(status("../x", "../..", Some("secret")), 400, "the name is looked at first");
    }
}
