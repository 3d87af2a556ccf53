//! How far attempts have come, as those see it who look and do not decide.

use crate::clock::UnixMillis;
use crate::id::BackendId;

/// An attempt that a backend has, or is being given.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    pub backend: BackendId,
    pub attempt: u32,
    /// When the backend was heard to begin; until then it is on its way or behind others' prompts.
    pub started_at: Option<UnixMillis>,
    pub first_step_at: Option<UnixMillis>,
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
        self.started_at.is_some() && !self.is_released
    }

    /// No step was heard of yet, and models had to be loaded.
    pub fn loads(&self) -> bool {
        self.works() && !self.models_loaded && self.first_step_at.is_none()
    }
}
