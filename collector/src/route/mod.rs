//! What to do: which waiting job goes to which free backend, and when memory is freed. The README beside this file
//! states the problem and the rule. `router` and the files that it names decide, in numbers; `book` tells it of jobs and
//! backends, and says in words what it decides; `refusal` is what no decision weighs. No async, no clock, no randomness, no
//! logging: the same input gives the same decision.

mod away;
mod book;
mod demand;
mod desk;
mod elsewhere;
mod explain;
pub mod free;
pub mod key;
mod memory;
mod policy;
mod refusal;
mod round;
mod router;
mod runs;
mod share;
mod slot;
mod tempo;
mod verdict;
mod vram;
mod waiting;
mod weigh;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use self::book::{Assignment, Book, Expected, Forecast, Learned, Outlook, Timing};
pub use self::explain::Verdict as Part;
pub use self::memory::{Asset, LoadTimes, Memory, Tier};
pub use self::policy::Policy;
pub use self::refusal::{Refusal, suits};
pub use self::round::{Choice, Rule};
pub use self::router::{Arrival, Given, Kind, Router};
pub use self::runs::Signature;
pub use self::slot::{Slot, Standing};
pub use self::verdict::{Verdict, Why};
pub use self::vram::{Fits, GpuClass, Room, fits_somewhere};
pub use self::waiting::Rank;
use crate::clock::UnixMillis;
use crate::fleet::Backend;
use crate::id::JobId;

/// A backend as a decision sees it.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub backend: Arc<Backend>,
    /// Seconds until the jobs that it has from us are expected to end; `None`: it has none.
    pub residual_seconds: Option<f64>,
    /// Prompts of others in its queue, as far as that can be told.
    pub foreign: u64,
    /// The models that it is believed to have in VRAM.
    pub resident: BTreeSet<String>,
    /// After a failure to hand it a job it gets none until then.
    pub rests_until: UnixMillis,
    pub room: Room,
    pub conduct: Conduct,
}

/// What is held against a backend beyond what polling tells of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Conduct {
    /// It was asked to free its memory, and what came of it is not known yet.
    pub freeing: bool,
    /// Its GPU has failed, and it has not run a job since.
    pub suspect: bool,
    /// Jobs that it could not run while others may.
    pub unfit: BTreeSet<JobId>,
}

#[cfg(test)]
mod drawn_tests;
#[cfg(test)]
mod tests;
