//! The collector over HTTP, as ordinary ComfyUI clients see it, on a fleet of simulated servers that fail on command.
//! One file a subject; `stage`, `program`, `client`, `socket`, `receiver`, `prompts` and `wait` are what they stand on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod client;
mod program;
mod prompts;
mod receiver;
mod socket;
mod stage;
mod wait;

mod access;
mod agents;
mod apart;
mod archive;
mod control;
mod crowd;
mod dashboard;
mod draft;
mod events;
mod failures;
mod figures;
mod files;
mod follow;
mod freeing;
mod hostile;
mod interface;
mod jobs;
mod loaded;
mod machines;
mod models;
mod openapi;
mod own_jobs;
mod refusals;
mod reload;
mod restart;
mod retention;
mod roster;
mod routing;
mod service;
mod start;
mod submit;
mod submit_any;
mod tenants;
mod traces;
mod view;
mod webhooks;
mod wishes;
