//! Running the program to its end, and what it said.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use serde_json::Value;

/// How a run ended.
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) said: String,
}

/// A file of `data`.
pub(crate) fn data(name: &str) -> String {
    let path: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests/tool/data", name].iter().collect();
    path.to_str().unwrap().to_owned()
}

/// A JSON file of `data`.
pub(crate) fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(data(name)).unwrap()).unwrap()
}

pub(crate) fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The program with these arguments, not started.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator-collector"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Gives a started program its standard input and waits for its end.
pub(crate) fn finish(mut child: Child, input: &[u8]) -> Ended {
    // A program that wants no input closes it.
    let _ = child.stdin.take().unwrap().write_all(input);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    Ended { code: status.code().unwrap(), out: String::from_utf8(stdout).unwrap(), said }
}

pub(crate) fn run_with(arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
    finish(command(arguments).spawn().unwrap(), input.as_ref())
}

/// Runs a command with the node classes of `data`.
pub(crate) fn known(command: &str, arguments: &[&str], input: impl AsRef<[u8]>) -> Ended {
    run_with(&[&[command, "--object-info", &data("object_info.json")], arguments].concat(), input)
}

impl Ended {
    /// What it printed, when all went well and nothing was to be remarked.
    #[track_caller]
    pub(crate) fn document(&self) -> Value {
        assert_eq!((self.code, self.said.as_str()), (0, ""), "{}", self.out);
        serde_json::from_str(&self.out).unwrap()
    }

    /// That it failed, printed nothing, and said all of this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, wanted: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{}", self.said);
        self.says(wanted);
    }

    #[track_caller]
    pub(crate) fn says(&self, wanted: &[&str]) {
        let missing: Vec<_> = wanted.iter().filter(|part| !self.said.contains(**part)).collect();
        assert!(missing.is_empty(), "{missing:?} not in\n{}", self.said);
    }
}
