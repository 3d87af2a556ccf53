//! How far attempts have come, as those see it who look and do not decide.

use crate::id::BackendId;
use crate::job::Course;

/// An attempt that a backend has, or is being given.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    pub backend: BackendId,
    pub attempt: u32,
    /// The backend has begun; until then it is on its way or behind others' prompts.
    pub has_begun: bool,
    /// Some step of it was heard of.
    pub has_stepped: bool,
    pub course: Course,
    /// The node at work.
    pub node: Option<String>,
    /// Of the node at work: how many are done, and of how many.
    pub steps: Option<(f64, f64)>,
    /// Its models were believed loaded when it was sent, or it names none.
    pub models_loaded: bool,
    /// The backend has done its part; the results are being fetched.
    pub is_released: bool,
    pub left_seconds: f64,
}

/// Jobs that found their models loaded, and those that did not, since the collector began to count; by belief, when they
/// were sent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Loads {
    pub caused: u64,
    pub avoided: u64,
}

impl Running {
    /// The backend is at it.
    pub fn works(&self) -> bool {
        self.has_begun && !self.is_released
    }

    /// No step was heard of yet, and models had to be loaded.
    pub fn loads(&self) -> bool {
        self.works() && !self.models_loaded && !self.has_stepped
    }
}
