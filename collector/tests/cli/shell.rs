//! Running the program against a stage, and what it said.

use std::path::Path;
use std::process::{Output, Stdio};

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::process::{Child, Command};

/// How a run ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) said: String,
}

/// The program with these arguments, not started. What the caller's environment configures must not reach it.
pub(crate) fn command(server: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_orchestrator-collector"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("ORCHESTRATOR_COLLECTOR_") {
            command.env_remove(name);
        }
    }
    command.env("ORCHESTRATOR_COLLECTOR_SERVER", server).args(arguments).kill_on_drop(true);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

pub(crate) async fn finish(mut child: Child, input: &str) -> Ended {
    // A program that wants no input closes it.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
    let Output { status, stdout, stderr } = child.wait_with_output().await.unwrap();
    let said = String::from_utf8(stderr).unwrap();
    assert!(!said.contains("panicked"), "{said}");
    Ended { code: status.code().unwrap(), out: String::from_utf8(stdout).unwrap(), said }
}

pub(crate) async fn run_with(server: &str, arguments: &[&str], input: &str) -> Ended {
    finish(command(server, arguments).spawn().unwrap(), input).await
}

pub(crate) async fn run(server: &str, arguments: &[&str]) -> Ended {
    run_with(server, arguments, "").await
}

/// Writes a document into a folder and gives its path.
pub(crate) fn file(folder: &Path, name: &str, document: &Value) -> String {
    let path = folder.join(name);
    std::fs::write(&path, document.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// Everything below a folder, sorted.
pub(crate) fn files_in(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap().map(Result::unwrap) {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push(entry.path().strip_prefix(folder).unwrap().to_str().unwrap().to_owned()),
            }
        }
    }
    found.sort();
    found
}

impl Ended {
    #[track_caller]
    pub(crate) fn succeeds(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// That it printed nothing, and said all of this.
    #[track_caller]
    pub(crate) fn fails(&self, code: i32, wanted: &[&str]) {
        assert_eq!((self.code, self.out.as_str()), (code, ""), "{self:?}");
        self.says(wanted);
    }

    #[track_caller]
    pub(crate) fn says(&self, wanted: &[&str]) {
        let missing: Vec<_> = wanted.iter().filter(|part| !self.said.contains(**part)).collect();
        assert!(missing.is_empty(), "{missing:?} not in\n{}", self.said);
    }

    pub(crate) fn document(&self) -> Value {
        serde_json::from_str(&self.out).unwrap()
    }

    /// JSON, a document a line.
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
