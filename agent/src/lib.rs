//! The agent: a sidecar that tells what a ComfyUI's machine is doing.
//!
//! ```text
//! probe (asks) ─▶ sampler (when) ─▶ derive (pure: what follows) ─▶ watch<Arc<Sample>> ─▶ http (serves the last)
//!                                                                              exposition (Report → Prometheus)
//! ```
//! No request makes the agent read anything, so an answer takes the same short time whatever the driver does. The
//! agent executes nothing, writes nothing and needs no root.

pub mod access;
pub mod choice;
pub mod clock;
pub mod config;
pub mod derive;
pub mod exposition;
pub mod http;
pub mod limits;
pub mod pci;
pub mod probe;
pub mod release;
mod run;
pub mod sample;
pub mod sampler;
pub mod told;
mod watch;

pub use run::{Error, run};
