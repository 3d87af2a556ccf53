//! Where a command's words go: documents to standard output or into a file, remarks to standard error.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use uuid::Uuid;

/// Why a result reached nobody.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("cannot write to standard output: {0}")]
    Stdout(io::Error),
    #[error("cannot write {path}: {reason}; nothing was changed there")]
    File { path: PathBuf, reason: io::Error },
    #[error("cannot write the result as JSON: {0}")]
    Json(serde_json::Error),
}

/// A document as people read it, with a line break at its end.
pub(super) fn pretty(document: &impl Serialize) -> Result<Vec<u8>, WriteError> {
    let mut text = serde_json::to_vec_pretty(document).map_err(WriteError::Json)?;
    text.push(b'\n');
    Ok(text)
}

/// A reader that has seen enough (`| head`) is no error.
pub(super) fn print(text: &[u8]) -> Result<(), WriteError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(WriteError::Stdout(error)),
        _ => Ok(()),
    }
}

/// Text with names out of documents, which are strangers': what a terminal would obey is shown instead.
pub(super) fn print_text(text: &str) -> Result<(), WriteError> {
    print(harmless(text).as_bytes())
}

/// Text whose names are harmless already, with colours where standard output is a terminal that shows them.
pub(super) fn print_styled(text: &str) -> Result<(), WriteError> {
    match anstream::AutoStream::choice(&io::stdout()) {
        anstream::ColorChoice::Never => print(anstream::adapter::strip_str(text).to_string().as_bytes()),
        _ => print(text.as_bytes()),
    }
}

/// One remark of this program to who started it.
pub fn say(remark: &str) {
    tell(&format!("orchestrator-collector: {remark}"));
}

/// A line on standard error that is no remark of the program's own.
pub(super) fn tell(line: &str) {
    // Where standard error is closed there is nobody to tell.
    let _ = writeln!(io::stderr(), "{}", harmless(line));
}

pub(super) fn harmless(text: &str) -> String {
    let shown = |letter: char| match letter.is_control() && letter != '\n' {
        true => letter.escape_default().to_string(),
        false => letter.to_string(),
    };
    text.chars().map(shown).collect()
}

/// Writes a file so that there is the whole text or what was there before; `-` is standard output.
pub(super) fn write(path: &Path, text: &[u8]) -> Result<(), WriteError> {
    if path == Path::new("-") {
        return print(text);
    }
    replace(path, text).map_err(|reason| WriteError::File { path: path.to_owned(), reason })
}

fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    // A link stays one, and what it leads to is replaced.
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let old = fs::metadata(&path).ok();
    // A device or a pipe cannot be replaced, and must not be.
    if old.as_ref().is_some_and(|old| !old.is_file()) {
        return OpenOptions::new().write(true).open(&path)?.write_all(text);
    }
    let draft = path.with_file_name(format!(".{}.part", Uuid::new_v4()));
    let written = write_draft(&draft, text, old.map(|old| old.permissions()));
    let replaced = written.and_then(|()| fs::rename(&draft, &path));
    if replaced.is_err() {
        // Where it could not be made there is none.
        let _ = fs::remove_file(&draft);
    }
    replaced
}

fn write_draft(draft: &Path, text: &[u8], permissions: Option<fs::Permissions>) -> io::Result<()> {
    let mut file = File::create_new(draft)?;
    if let Some(permissions) = permissions {
        file.set_permissions(permissions)?;
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::process::Command;

    use super::*;

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_as_a_whole_and_keeps_its_permissions() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("prompt.json");
        write(&path, b"first").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        write(&path, b"second").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"second");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(names(directory.path()), ["prompt.json"]);
    }

    #[test]
    fn a_link_stays_a_link_and_what_it_leads_to_is_replaced() {
        let directory = tempfile::tempdir().unwrap();
        let (target, link) = (directory.path().join("target"), directory.path().join("link"));
        fs::write(&target, "old").unwrap();
        symlink(&target, &link).unwrap();
        write(&link, b"new").unwrap();
        assert_eq!(fs::read(&target).unwrap(), b"new");
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert_eq!(names(directory.path()), ["link", "target"]);
    }

    #[test]
    fn a_pipe_is_written_to_and_stays_one() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = std::thread::spawn({
            let pipe = pipe.clone();
            move || fs::read(pipe).unwrap()
        });
        write(&pipe, b"text").unwrap();
        assert!(fs::metadata(&pipe).unwrap().file_type().is_fifo());
        assert_eq!(reader.join().unwrap(), b"text");
    }

    #[test]
    fn a_file_that_cannot_be_written_leaves_nothing_behind() {
        let directory = tempfile::tempdir().unwrap();
        let missing = directory.path().join("missing/prompt.json");
        let error = write(&missing, b"text").unwrap_err().to_string();
        assert!(error.contains("missing/prompt.json") && error.contains("nothing was changed"), "{error}");
        assert!(write(directory.path(), b"text").is_err());
        assert!(names(directory.path()).is_empty());
    }

    #[test]
    fn what_a_terminal_would_obey_is_shown() {
        assert_eq!(harmless("a\x1b[2Jb\n\u{9b}Größe"), "a\\u{1b}[2Jb\n\\u{9b}Größe");
    }
}
