//! The commands `convert`, `validate` and `inspect` of the real program, as a shell sees them. One file a command;
//! `program` runs it, `data` is what it is given.
//!
//! The workflows in `data` were converted by ComfyUI's web interface, the prompts answered by ComfyUI 0.8.0, the
//! pictures written as ComfyUI writes its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod program;

mod check_config;
mod classes;
mod convert;
mod inspect;
mod output;
mod token;
mod validate;
