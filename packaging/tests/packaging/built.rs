//! Where the programs and the files of this checkout are, and a prompt for them.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::{Value, json};

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

/// A prompt that a simulated server works on for so long.
pub(crate) fn picture(seconds: u32) -> Value {
    // Each its own seed, or it would be answered from the cache.
    static SEED: AtomicU32 = AtomicU32::new(0);
    let seed = SEED.fetch_add(1, Ordering::Relaxed);
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": "sd15.safetensors", "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 1, "step_seconds": seconds, "width": 16, "height": 8, "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    })
}

/// Ends with the trial, however that ends.
pub(crate) struct Running(pub(crate) Child);

impl Drop for Running {
    fn drop(&mut self) {
        // One that has ended already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
