//! The commands that ask a collector, as a shell sees them: the real program, a collector in this process, and a fleet of
//! simulated servers behind it. One file a subject; `shell` runs the program, `wire` is a connection that can be cut, `stub` a
//! server that only listens. What stands under `fleet` is shared with
//! the tests of the collector itself.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

#[allow(dead_code, reason = "the other tests use all of it")]
#[path = "../fleet/client.rs"]
mod client;
#[allow(dead_code, reason = "the other tests use all of it")]
#[path = "../fleet/prompts.rs"]
mod prompts;
#[allow(dead_code, reason = "the other tests use all of it")]
#[path = "../fleet/stage.rs"]
mod stage;
#[path = "../fleet/wait.rs"]
mod wait;

mod shell;
mod stub;
mod wire;

mod follow;
mod help;
mod operate;
mod set;
mod show;
mod submit;
mod token;
mod trouble;
