//! The control file as the library reads it: looked at by every call, parsed when it was replaced.

use std::ffi::OsString;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use crate::driver::Driver;
use crate::failure::{Answer, Failure};
use crate::lock::locked;
use crate::{VARIABLE, mapped};

/// The control file's name beside the library, which spares a test that loads several the process-wide variable.
pub(crate) const NAME: &str = "control.json";

/// GPUs of a library that nobody commands.
const GPUS: usize = 2;

/// What the control file says now.
///
/// # Errors
/// `UNKNOWN`: it is missing or broken.
pub(crate) fn driver() -> Answer<Arc<Driver>> {
    static SOURCE: OnceLock<Mutex<Source>> = OnceLock::new();
    let source = SOURCE.get_or_init(|| Mutex::new(Source::find(std::env::var_os(VARIABLE), mapped::file())));
    locked(source).driver().map_err(|_| Failure::Unknown)
}

struct Source {
    path: Option<PathBuf>,
    read: Option<(Stamp, Arc<Driver>)>,
}

impl Source {
    fn find(variable: Option<OsString>, library: Option<&Path>) -> Self {
        match variable.map(PathBuf::from).or_else(|| beside(library?)) {
            Some(path) => Self { path: Some(path), read: None },
            None => Self { path: None, read: None },
        }
    }

    fn driver(&mut self) -> io::Result<Arc<Driver>> {
        let stamp = self.path.as_ref().map(fs::metadata).transpose()?.map(Stamp::of);
        match &self.read {
            Some((read, driver)) if stamp.is_none_or(|now| now == *read) => Ok(Arc::clone(driver)),
            _ => self.read_anew(),
        }
    }

    fn read_anew(&mut self) -> io::Result<Arc<Driver>> {
        // A file that breaks later is not to be answered for by what it said before.
        self.read = None;
        let (stamp, driver) = match &self.path {
            Some(path) => read(path)?,
            None => (Stamp::default(), Driver::with_gpus(GPUS)),
        };
        let driver = Arc::new(driver);
        self.read = Some((stamp, Arc::clone(&driver)));
        Ok(driver)
    }
}

fn beside(library: &Path) -> Option<PathBuf> {
    let path = library.with_file_name(NAME);
    path.exists().then_some(path)
}

fn read(path: &Path) -> io::Result<(Stamp, Driver)> {
    let mut file = File::open(path)?;
    let stamp = Stamp::of(file.metadata()?);
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    Ok((stamp, serde_json::from_str(&text)?))
}

/// Tells one version of a file from the next, which is another inode where it was replaced by renaming.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    fn of(file: Metadata) -> Self {
        Self { inode: file.ino(), size: file.size(), modified: (file.mtime(), file.mtime_nsec()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_control_file_there_are_two_gpus() {
        let mut source = Source::find(None, Some(Path::new("/nonexistent/libsim_nvml.so")));
        assert_eq!(source.driver().unwrap().gpus.len(), GPUS);
        assert_eq!(source.driver().unwrap().gpus.len(), GPUS);
    }

    #[test]
    fn the_variable_names_the_file_even_where_one_lies_beside_the_library() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(NAME), "{}").unwrap();
        let library = folder.path().join("libnvidia-ml.so.1");
        assert_eq!(Source::find(None, Some(&library)).path, Some(folder.path().join(NAME)));
        assert_eq!(Source::find(Some("/there".into()), Some(&library)).path, Some("/there".into()));
    }

    #[test]
    fn what_is_absent_in_the_file_is_not_made_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(NAME);
        fs::write(&path, r#"{"gpus": [{"uuid": "GPU-1"}], "fail": {"*": "TIMEOUT"}}"#).unwrap();
        let mut source = Source::find(Some(path.clone().into()), None);
        let driver = source.driver().unwrap();
        assert_eq!(
            (driver.gpus[0].power_milliwatts, driver.allows("nvmlInit_v2")),
            (None, Err(Failure::Timeout))
        );
        fs::write(&path, "{").unwrap();
        assert!(source.driver().is_err());
    }
}
