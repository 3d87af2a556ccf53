//! ComfyUI's rules for the names of uploaded files. Pure.

use crate::job::InputFile;
use crate::limits;

#[derive(Debug, thiserror::Error)]
#[error("{file:?} is no name for an uploaded file: it must not be empty, leave the input folder, or be longer than {limit} bytes",
    limit = limits::UPLOAD_PATH_BYTES)]
pub struct BadName {
    pub file: String,
}

/// The name with its subfolder in one form, if it stays inside the input folder.
pub(super) fn checked(file: &InputFile) -> Result<InputFile, BadName> {
    let bad = || BadName { file: file.to_string() };
    let name = file.name.replace('\\', "/");
    let name = name.rsplit('/').next().unwrap_or_default();
    let subfolder = file.subfolder.replace('\\', "/");
    let escapes = subfolder.starts_with('/') || subfolder.split('/').any(|part| part == "..");
    let subfolder: Vec<&str> = subfolder.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    let checked = InputFile { subfolder: subfolder.join("/"), name: name.to_owned() };
    let is_control = |text: &str| text.chars().any(char::is_control);
    let nameless = matches!(name, "" | "." | "..");
    let path = checked.to_string();
    let part_is_long = path.split('/').any(|part| part.len() > limits::FILE_NAME_BYTES);
    let long = path.len() > limits::UPLOAD_PATH_BYTES || part_is_long;
    let good = !(nameless || escapes || long || is_control(name) || is_control(&checked.subfolder));
    good.then_some(checked).ok_or_else(bad)
}

/// `a.png`, `a (1).png`, `a (2).png`, ...
pub(super) fn numbered(file: &InputFile) -> impl Iterator<Item = InputFile> + '_ {
    let (stem, ending) = match file.name.rfind('.') {
        Some(dot) if dot > 0 => file.name.split_at(dot),
        _ => (file.name.as_str(), ""),
    };
    let nth =
        move |n: u64| InputFile { subfolder: file.subfolder.clone(), name: format!("{stem} ({n}){ending}") };
    std::iter::once(file.clone()).chain((1..).map(nth))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(subfolder: &str, name: &str) -> InputFile {
        InputFile { subfolder: subfolder.into(), name: name.into() }
    }

    #[test]
    fn names_stay_inside_the_input_folder() {
        assert_eq!(checked(&file("a//b/.", "c.png")).unwrap(), file("a/b", "c.png"));
        assert_eq!(checked(&file("", "C:\\x\\c.png")).unwrap(), file("", "c.png"));
        for (subfolder, name) in
            [("../x", "a"), ("/etc", "a"), ("a/../../b", "a"), ("", ""), ("", ".."), ("", "a\n")]
        {
            assert!(checked(&file(subfolder, name)).is_err(), "{subfolder:?} {name:?}");
        }
        assert!(checked(&file("", &"y".repeat(255))).is_ok());
        assert!(checked(&file("", &"y".repeat(256))).is_err());
    }

    #[test]
    fn a_taken_name_gets_a_number_before_its_ending() {
        let names: Vec<String> = numbered(&file("x", "up.tar.gz")).take(3).map(|f| f.name).collect();
        assert_eq!(names, ["up.tar.gz", "up.tar (1).gz", "up.tar (2).gz"]);
        assert_eq!(numbered(&file("", ".hidden")).nth(1).unwrap().name, ".hidden (1)");
    }
}
