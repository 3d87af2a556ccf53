//! The client and the socket, against servers that say what a test tells them and against simulated ComfyUI servers.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

mod documents;
mod example;
mod failures;
mod requests;
mod scripted;
mod simulated;
mod socket;
mod tls;
