//! What was made of files, kept as they are now: a file that breaks leaves in force what was read before.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::watch;

use super::Error;
use super::file::Stamp;

pub(super) struct Kept<T, const FILES: usize> {
    files: [PathBuf; FILES],
    /// As they were when they were last read with success.
    stamps: [Option<Stamp>; FILES],
    make: fn(&[PathBuf; FILES]) -> Result<T, Error>,
    current: watch::Sender<Arc<T>>,
    /// What has been warned of and still holds.
    complaint: Option<String>,
}

impl<T, const FILES: usize> Kept<T, FILES> {
    pub(super) fn load(
        files: [PathBuf; FILES],
        make: fn(&[PathBuf; FILES]) -> Result<T, Error>,
    ) -> Result<Self, Error> {
        // Before they are read: one that changes meanwhile is then read again.
        let stamps = stamps(&files);
        let (current, _) = watch::channel(Arc::new(make(&files)?));
        Ok(Self { files, stamps, make, current, complaint: None })
    }

    pub(super) fn current(&self) -> watch::Receiver<Arc<T>> {
        self.current.subscribe()
    }

    /// Reads the files again if they have changed, or in any case if `told`.
    pub(super) fn renew(&mut self, told: bool) {
        let stamps = stamps(&self.files);
        if !told && stamps == self.stamps {
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

fn stamps<const FILES: usize>(files: &[PathBuf; FILES]) -> [Option<Stamp>; FILES] {
    files.each_ref().map(|file| Stamp::of(file))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::access::{Token, token};

    fn holds(kept: &Kept<Token, 1>, token: &str) -> bool {
        kept.current().borrow().is(token.as_bytes())
    }

    #[test]
    fn a_file_that_changed_is_read_again_and_a_broken_one_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "first-first-first").unwrap();
        let mut kept = Kept::load([file.clone()], |[file]| token::read(file)).unwrap();
        assert!(holds(&kept, "first-first-first"));

        fs::write(&file, "second-second-second").unwrap();
        kept.renew(false);
        assert!(holds(&kept, "second-second-second"));

        fs::write(&file, "short").unwrap();
        kept.renew(false);
        assert!(holds(&kept, "second-second-second") && kept.complaint.is_some());
        fs::remove_file(&file).unwrap();
        kept.renew(true);
        assert!(holds(&kept, "second-second-second"));

        fs::write(&file, "third-third-third").unwrap();
        kept.renew(false);
        assert!(holds(&kept, "third-third-third") && kept.complaint.is_none());
    }

    #[test]
    fn a_file_that_has_not_changed_is_read_again_only_when_told() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        fs::write(&file, "first-first-first").unwrap();
        let mut kept = Kept::load([file], |[file]| token::read(file)).unwrap();
        let current = kept.current();
        kept.renew(false);
        assert!(!current.has_changed().unwrap());
        kept.renew(true);
        assert!(current.has_changed().unwrap());
    }
}
