//! Where cargo put the C library.

use std::io;
use std::path::{Path, PathBuf};

const LIBRARY: &str = "libsim_nvml.so";

/// The C library of this build. Cargo leaves that of a dependency in `deps/`, where test executables are too, and one
/// folder below those that `cargo build` makes.
///
/// # Errors
/// It is not there.
pub fn built() -> io::Result<PathBuf> {
    let executable = std::env::current_exe()?;
    find(&executable).ok_or_else(|| missing(&executable))
}

fn find(executable: &Path) -> Option<PathBuf> {
    let folder = executable.parent()?;
    // `deps/` first: the copy one folder above is renewed only when this package itself is built by name.
    let places = [folder.join("deps"), folder.to_owned(), folder.join("../deps"), folder.join("..")];
    places.into_iter().map(|place| place.join(LIBRARY)).find(|file| file.is_file())
}

fn missing(executable: &Path) -> io::Error {
    let text = format!(
        "{LIBRARY} is not beside {}: build it with `cargo build -p sim-nvml` in the same profile",
        executable.display()
    );
    io::Error::new(io::ErrorKind::NotFound, text)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn the_library_is_found_from_tests_programs_and_examples() {
        let target = tempfile::tempdir().unwrap();
        let release = target.path().join("release");
        for folder in ["deps", "examples"] {
            fs::create_dir_all(release.join(folder)).unwrap();
        }
        fs::write(release.join("deps").join(LIBRARY), "renewed").unwrap();
        fs::write(release.join(LIBRARY), "old").unwrap();
        for executable in ["bench", "deps/bench-0123", "examples/one"] {
            let found = find(&release.join(executable)).unwrap();
            assert_eq!(fs::read_to_string(found).unwrap(), "renewed", "{executable}");
        }
    }

    #[test]
    fn a_missing_library_is_told_with_what_to_do() {
        let error = missing(Path::new("/target/release/bench"));
        assert!(error.to_string().contains("cargo build -p sim-nvml"));
        assert_eq!(find(Path::new("/nonexistent/release/bench")), None);
    }
}
