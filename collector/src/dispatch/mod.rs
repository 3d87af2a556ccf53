//! Making it so. The driver is the only one who speaks to a backend to change it. What it does is decided by `core`, a pure
//! state machine: `step` says which commands are due, `track` what a frame means for a job, `recover` what a lookup proved.
//!
//! One attempt, in order: the intent is committed; the files that it loads are delivered; the prompt is posted; its frames are
//! followed; the results are fetched and committed; then the client is told of the end. Whatever is in doubt (an answer
//! or a socket lost, a restart of this program) is looked up on the backend before anything else happens to the job.

mod act;
mod board;
mod conclude;
mod core;
mod deliver;
mod done;
mod driver;
mod failure;
mod kept;
mod loaded;
mod pace;
mod perform;
mod recover;
mod rename;
mod results;
mod running;
mod step;
mod tools;
mod track;
mod usage;
mod waiting;

pub use self::board::View;
pub use self::core::Request;
pub use self::driver::{Dispatch, Parts, start};
pub use self::kept::{Kept, load as load_kept};
pub use self::running::{Loads, Running};
pub use self::step::{Lost, Settings};
pub use self::usage::{Usage, load as load_usage};

#[cfg(test)]
mod world;
