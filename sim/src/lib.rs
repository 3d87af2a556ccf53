//! Simulated ComfyUI servers and agents that fail on command.
//!
//! Written from recordings of real servers (`tests/transcripts`), which a test replays, and without the
//! `comfyui` package: two readings of one protocol find each other's mistakes. For tests, measurements and
//! demonstrations only; everything listens on 127.0.0.1 and nothing is written to disk.
//!
//! Beside them stand what tests take from [`outside`], and a [`postgres`] cluster of their own.

mod agent;
mod comfy;
mod error;
mod faults;
mod gate;
mod generation;
mod host;
mod lock;
pub mod outside;
pub mod picture;
pub mod postgres;
mod wire;

pub use agent::{Agent, AgentConfig, Figures, GpuFigures};
pub use comfy::{Comfy, ComfyConfig, Counters, Outcome, Run, Stamp, State, Step};
pub use error::{Error, Result};
pub use faults::{Fault, FaultKind, Faults};
pub use generation::Generation;
