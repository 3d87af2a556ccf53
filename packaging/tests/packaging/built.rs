//! Where the programs and the files of this checkout are.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The root of the checkout.
pub(crate) fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// A program of this workspace, built as this test is, which costs nothing where it has been already.
pub(crate) fn program(name: &str) -> PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(build).join(name)
}

fn build() -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.current_dir(root()).args([
        "build",
        "--quiet",
        "--locked",
        "--package=agent",
        "--package=collector",
        "--package=sim",
    ]);
    assert!(cargo.status().unwrap().success(), "the programs cannot be built");
    // target/debug/deps/packaging-...
    std::env::current_exe().unwrap().ancestors().nth(2).unwrap().to_owned()
}
