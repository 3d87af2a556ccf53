//! A job: what a client submitted, and how far it has come. Data and pure transitions; no IO.

mod change;
mod made;
mod needs;
mod notice;
mod outputs;
mod standing;
mod summary;
mod wishes;

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::change::{Change, Illegal, Submission};
pub use self::made::{as_input, input_file, made_by, owner_of, without_backend};
pub use self::needs::{Asset, InputFile, ModelSet, Needs};
pub use self::notice::Notice;
pub use self::outputs::{Brief, normalized};
pub use self::standing::{BadStanding, Standing};
pub use self::summary::{Summary, execution_error};
pub use self::wishes::{BadWish, Elsewhere, Wishes};
use crate::clock::UnixMillis;
use crate::id::{BackendId, ClientId, JobId};

/// What is kept in memory of a job that waits or runs. The prompt itself stays in the store.
#[derive(Clone, Debug, PartialEq)]
pub struct Job {
    pub id: JobId,
    pub place: Place,
    /// As the client named itself; `None`: nobody listens.
    pub client_id: Option<ClientId>,
    /// The address it came from: what "mine" means for an interrupt that names no job.
    pub peer: Option<IpAddr>,
    /// The name of the token that it was submitted with.
    pub owner: Option<String>,
    pub needs: Arc<Needs>,
    pub wishes: Arc<Wishes>,
    pub submitted_at: UnixMillis,
    pub attempts: u32,
    /// Those that reached a backend: what [`Wishes::attempts`] bounds.
    pub spent_attempts: u32,
    pub state: State,
}

/// Where a job stands in the queue: by `number`, as in ComfyUI, and among equals by arrival.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Place {
    pub number: f64,
    /// The client gave the number itself; ComfyUI shows such a one as a float.
    pub given: bool,
    pub arrival: u64,
}

impl Eq for Place {}

impl PartialOrd for Place {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Place {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.number.total_cmp(&other.number).then(self.arrival.cmp(&other.arrival))
    }
}

impl Place {
    /// The rule of ComfyUI's `POST /prompt`: a given number as it is, `front` the negative of the counter (a later
    /// "front" goes before an earlier one), else the counter.
    pub fn new(asked: Option<f64>, front: bool, arrival: u64) -> Self {
        let counter = arrival as f64;
        let number = asked.unwrap_or(if front { -counter } else { counter });
        Self { number, given: asked.is_some(), arrival }
    }

    pub fn number_json(&self) -> serde_json::Number {
        let float = serde_json::Number::from_f64(self.number);
        let whole = || serde_json::Number::from(self.number as i64);
        if self.given { float.unwrap_or_else(whole) } else { whole() }
    }
}

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Waiting,
    /// Meant for a backend since before the request was sent: what it became is not known until `prompt_id` is.
    Dispatched(Attempt),
    Ended(Outcome),
}

/// One dispatch of a job to a backend.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// 1 for the first.
    pub number: u32,
    pub backend: BackendId,
    pub dispatched_at: UnixMillis,
    /// The id under which the backend accepted it; a server of 2024 gives its own.
    pub prompt_id: Option<String>,
}

/// When an attempt began to run and when its first step came: each absent where it was not heard.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Course {
    pub started_at: Option<UnixMillis>,
    pub first_step_at: Option<UnixMillis>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    Succeeded,
    Failed,
    Interrupted,
    /// Taken out of the queue before it ran: it leaves no history, as in ComfyUI.
    Cancelled,
}

impl Outcome {
    pub const ALL: [Self; 4] = [Self::Succeeded, Self::Failed, Self::Interrupted, Self::Cancelled];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Interrupted => "interrupted",
            Self::Cancelled => "cancelled",
        }
    }
}

impl Job {
    pub fn attempt(&self) -> Option<&Attempt> {
        match &self.state {
            State::Dispatched(attempt) => Some(attempt),
            State::Waiting | State::Ended(_) => None,
        }
    }

    pub fn is_waiting(&self) -> bool {
        self.state == State::Waiting
    }

    /// The nth to arrive, which asks for nothing.
    #[cfg(test)]
    pub(crate) fn for_tests(arrival: u64) -> Self {
        Self {
            id: JobId::random(),
            place: Place::new(None, false, arrival),
            client_id: None,
            peer: None,
            owner: None,
            needs: Arc::default(),
            wishes: Arc::default(),
            submitted_at: UnixMillis(0),
            attempts: 0,
            spent_attempts: 0,
            state: State::Waiting,
        }
    }
}

/// What came of a job, in the words of ComfyUI's `/history`, ids and paths already those that clients see.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    pub outputs: serde_json::Map<String, serde_json::Value>,
    pub status: serde_json::Value,
    pub meta: serde_json::Map<String, serde_json::Value>,
}
