//! What a test or a measurement holds: the library, installed for it alone, and the file that commands it.

use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tempfile::TempDir;

use crate::driver::Driver;
use crate::lock::locked;
use crate::{VARIABLE, built, file};

/// The name under which programs load NVML.
const LIBRARY: &str = "libnvidia-ml.so.1";

/// A driver of one's own: a folder with `libnvidia-ml.so.1` and its control file. Dropping it takes the folder away;
/// calls of those who still have the library loaded then answer `UNKNOWN`, hanging ones too.
///
/// Whoever loads [`Self::library`] is commanded by the file beside it. [`Self::environment`] is for those who load
/// another copy.
#[derive(Debug)]
pub struct Control {
    folder: TempDir,
    driver: Mutex<Driver>,
}

impl Control {
    /// Installs a library of the driver's version. Calls are logged, if `calls` names no other file.
    ///
    /// # Errors
    /// The C library was not built, or the temporary folder cannot be written.
    pub fn new(driver: &Driver) -> io::Result<Self> {
        let folder = TempDir::with_prefix("sim-nvml-")?;
        let mut driver = driver.clone();
        driver.calls.get_or_insert_with(|| folder.path().join("calls"));
        let control = Self { folder, driver: Mutex::new(driver.clone()) };
        control.write(&driver)?;
        control.install(&driver.driver_version)?;
        Ok(control)
    }

    /// What programs load: a symbolic link, as a driver's package has it.
    pub fn library(&self) -> PathBuf {
        self.folder().join(LIBRARY)
    }

    /// For `LD_LIBRARY_PATH`.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The control file.
    pub fn file(&self) -> PathBuf {
        self.folder().join(file::NAME)
    }

    /// For a child process that is to obey this control.
    pub fn environment(&self) -> [(&'static str, PathBuf); 1] {
        [(VARIABLE, self.file())]
    }

    /// Changes what the library answers from now on: whoever calls it after this sees all of the change.
    ///
    /// # Errors
    /// The control file cannot be written.
    pub fn change(&self, edit: impl FnOnce(&mut Driver)) -> io::Result<()> {
        let mut driver = locked(&self.driver);
        edit(&mut driver);
        self.write(&driver)
    }

    /// Puts a library of a version in the place of the one before, as a package's upgrade does. The kernel module
    /// stays what it was, which is `driver_version`, until it is changed too.
    ///
    /// # Errors
    /// The C library was not built, or the folder cannot be written.
    pub fn install(&self, version: &str) -> io::Result<()> {
        let name = format!("libnvidia-ml.so.{version}");
        let before = fs::read_link(self.library()).ok();
        // A library that is in use must keep its inode: written beside, and renamed.
        let fresh = self.folder().join("fresh");
        fs::copy(built()?, &fresh)?;
        fs::rename(&fresh, self.folder().join(&name))?;
        symlink(&name, &fresh)?;
        fs::rename(&fresh, self.library())?;
        match before.filter(|before| *before != Path::new(&name)) {
            Some(before) => fs::remove_file(self.folder().join(before)),
            None => Ok(()),
        }
    }

    /// The calls so far, oldest first: symbols, and `hanging <symbol>`. None if none was logged.
    pub fn calls(&self) -> Vec<String> {
        let path = locked(&self.driver).calls.clone();
        let text = path.and_then(|path| fs::read_to_string(path).ok()).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    fn write(&self, driver: &Driver) -> io::Result<()> {
        let fresh = self.folder().join("control.fresh");
        fs::write(&fresh, serde_json::to_vec(driver)?)?;
        fs::rename(&fresh, self.file())
    }
}
