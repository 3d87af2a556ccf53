//! What was made of files, kept as they are now: a file that breaks leaves in force what was read before.

use std::fmt::Display;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::file::Stamp;

/// What `T` was made of so many files.
pub struct Kept<T, E, const FILES: usize> {
    files: [PathBuf; FILES],
    /// As they were when they were last read with success.
    stamps: [Option<Stamp>; FILES],
    make: fn(&[PathBuf; FILES]) -> Result<T, E>,
    current: watch::Sender<Arc<T>>,
    /// What has been warned of and still holds.
    complaint: Option<String>,
}

impl<T, E: Display, const FILES: usize> Kept<T, E, FILES> {
    /// Reads them for the first time.
    ///
    /// # Errors
    /// What `make` says of them.
    pub fn load(files: [PathBuf; FILES], make: fn(&[PathBuf; FILES]) -> Result<T, E>) -> Result<Self, E> {
        // Before they are read: one that changes meanwhile is then read again.
        let stamps = stamps(&files);
        let (current, _) = watch::channel(Arc::new(make(&files)?));
        Ok(Self { files, stamps, make, current, complaint: None })
    }

    /// What is in force, now and later.
    pub fn current(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// What was read afresh, perhaps from other files, is in force from now on.
    pub fn replace(&mut self, fresh: Self) {
        self.current.send_replace(Arc::clone(&fresh.current.borrow()));
        *self = Self { current: self.current.clone(), ..fresh };
    }

    /// Reads the files again if they have changed.
    pub fn renew(&mut self) {
        let stamps = stamps(&self.files);
        if stamps == self.stamps {
            return;
        }
        match (self.make)(&self.files) {
            Ok(fresh) => {
                self.current.send_replace(Arc::new(fresh));
                (self.stamps, self.complaint) = (stamps, None);
                tracing::info!("read {} again", self.names());
            }
            Err(error) => self.complain(&error.to_string()),
        }
    }

    fn complain(&mut self, error: &str) {
        if self.complaint.as_deref() != Some(error) {
            tracing::warn!("{error}; until then the one read before stays in force");
            self.complaint = Some(error.to_owned());
        }
    }

    fn names(&self) -> String {
        self.files.each_ref().map(|file| file.display().to_string()).join(" and ")
    }
}

/// Puts what was read afresh in force where there was such a thing before; whether there is one is settled at the start.
pub fn replace<T, E: Display, const FILES: usize>(
    kept: &mut Option<Kept<T, E, FILES>>,
    fresh: Option<Kept<T, E, FILES>>,
) {
    if let (Some(kept), Some(fresh)) = (kept, fresh) {
        kept.replace(fresh);
    }
}

fn stamps<const FILES: usize>(files: &[PathBuf; FILES]) -> [Option<Stamp>; FILES] {
    files.each_ref().map(|file| Stamp::of(file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::files::{Error, Kind, file};

    /// Holds a number.
    type Number = Kept<u32, String, 1>;

    fn load(file: PathBuf) -> Number {
        let number = |[file]: &[PathBuf; 1]| {
            let content = file::read(Kind::Token, file).map_err(|error: Error| error.to_string())?;
            let text = String::from_utf8_lossy(&content);
            text.trim().parse().map_err(|_| format!("{text} is no number"))
        };
        Kept::load([file], number).unwrap()
    }

    fn value(kept: &Number) -> u32 {
        **kept.current().borrow()
    }

    #[test]
    fn a_file_that_changed_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        fs::write(&file, "1").unwrap();
        let mut kept = load(file.clone());
        assert_eq!(value(&kept), 1);

        fs::write(&file, "22").unwrap();
        kept.renew();
        assert_eq!(value(&kept), 22);

        fs::write(&file, "many").unwrap();
        kept.renew();
        assert!(value(&kept) == 22 && kept.complaint.is_some());
        fs::remove_file(&file).unwrap();
        kept.renew();
        assert_eq!(value(&kept), 22);

        fs::write(&file, "333").unwrap();
        kept.renew();
        assert!(value(&kept) == 333 && kept.complaint.is_none());
    }

    #[test]
    fn a_file_that_has_not_changed_is_not_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("number");
        fs::write(&file, "1").unwrap();
        let mut kept = load(file);
        let current = kept.current();
        kept.renew();
        assert!(!current.has_changed().unwrap());
    }

    #[test]
    fn who_looks_sees_what_was_read_afresh_from_another_file_and_its_changes() {
        let folder = tempfile::tempdir().unwrap();
        let [one, other] = ["one", "other"].map(|name| folder.path().join(name));
        fs::write(&one, "1").unwrap();
        fs::write(&other, "2").unwrap();
        let mut kept = load(one.clone());
        let current = kept.current();
        kept.replace(load(other.clone()));
        assert_eq!(**current.borrow(), 2);
        fs::write(&one, "11").unwrap();
        fs::write(&other, "22").unwrap();
        kept.renew();
        assert_eq!(**current.borrow(), 22);
    }
}
