//! The agent: a sidecar that tells what a ComfyUI's machine is doing.
//!
//! ```text
//! probe (asks) ─▶ sampler (when) ─▶ derive (pure: what follows) ─▶ watch<Arc<Sample>> ─▶ http (serves the last)
//!                                                                              exposition (Report → Prometheus)
//! ```
//! No request makes the agent read anything, so an answer takes the same short time whatever the driver does. The
//! agent executes nothing, writes nothing and needs no root.

mod access;
mod choice;
mod clock;
pub mod config;
mod derive;
pub mod exposition;
mod http;
mod limits;
mod pci;
mod probe;
mod release;
mod run;
mod sample;
mod sampler;
mod told;
mod watch;

/// For the tests that need a kernel, not files that stand for one.
pub use probe::{ComfyUiProbe, Probe, Reading};
pub use run::{Error, check, run};
