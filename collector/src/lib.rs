//! The fleet collector: polls all ComfyUI servers and their agents, keeps a durable queue, decides which backend runs
//! which job, and is itself a ComfyUI to every client. `ARCHITECTURE.md` says which module may import which.

pub mod access;
mod address;
pub mod api;
pub mod archive;
pub mod chronicle;
pub mod clients;
pub mod clock;
pub mod config;
pub mod dispatch;
pub mod edit;
pub mod event;
pub mod files;
pub mod fleet;
pub mod id;
pub mod job;
pub mod lifecycle;
pub mod limits;
pub mod metrics;
pub mod picture;
pub mod poll;
mod prepare;
pub mod queue;
mod reload;
pub mod roster;
pub mod route;
mod run;
pub mod standby;
mod surroundings;
pub mod tenant;
pub mod tool;
pub mod trace;
pub mod webhook;

pub use self::reload::Source;
pub use self::run::{Collector, Given, StartError};
