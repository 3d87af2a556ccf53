//! Tells the agent which compiler and which revision it is made of, for `orchestrator_agent_build_info`.
//!
//! A build outside a git checkout passes the revision in `ORCHESTRATOR_REVISION`, or has none.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=ORCHESTRATOR_REVISION");
    if Path::new("../.git/logs/HEAD").exists() {
        println!("cargo:rerun-if-changed=../.git/logs/HEAD");
    }
    if let Some(revision) = revision() {
        println!("cargo:rustc-env=AGENT_REVISION={revision}");
    }
    if let Some(rustc) = rustc_version() {
        println!("cargo:rustc-env=AGENT_RUSTC={rustc}");
    }
}

fn revision() -> Option<String> {
    std::env::var("ORCHESTRATOR_REVISION")
        .ok()
        .or_else(|| output("git", &["rev-parse", "--short=12", "HEAD"]))
}

/// `rustc 1.95.0 (f2d3ce0bd 2026-03-21)` → `1.95.0`.
fn rustc_version() -> Option<String> {
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    output(&rustc, &["--version"])?.split_whitespace().nth(1).map(str::to_owned)
}

fn output(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program).args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned()).filter(|text| !text.is_empty())
}
