//! What a list of jobs is asked for by, and what it shows of each.

use crate::clock::UnixMillis;
use crate::id::{BackendId, ClientId, JobId};
use crate::job::{Needs, Place, Standing, Summary, Wishes};

/// Which jobs. A field that is absent lets all pass.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    pub standings: Option<Vec<Standing>>,
    /// The `id` of the workflow that was saved in the prompt's `extra_data`.
    pub workflow_id: Option<String>,
    pub client: Option<ClientId>,
    /// Where it runs or ran last.
    pub backend: Option<BackendId>,
    /// The name of a model that its prompt loads.
    pub model: Option<String>,
}

/// Which of them, in which order.
#[derive(Clone, Copy, Debug)]
pub struct Window {
    pub sort: Sort,
    pub ascending: bool,
    /// Only those submitted before this one.
    pub before: Option<Cursor>,
    pub limit: u64,
    pub offset: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    Submitted,
    /// How long the execution took; zero where it is unknown.
    Duration,
}

/// Where a job stands among all by the time of its submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cursor {
    pub submitted_at: UnixMillis,
    pub arrival: u64,
}

/// One line of a list.
#[derive(Clone, Debug)]
pub struct ListedJob {
    pub id: JobId,
    pub place: Place,
    pub standing: Standing,
    pub client_id: Option<ClientId>,
    pub owner: Option<String>,
    pub backend: Option<BackendId>,
    pub needs: Needs,
    pub wishes: Wishes,
    pub attempts: u32,
    pub submitted_at: UnixMillis,
    pub ended_at: Option<UnixMillis>,
    pub workflow_id: Option<String>,
    /// All zero and absent while it has not ended.
    pub summary: Summary,
    /// What the exception's message tells, of a failed one.
    pub execution_error: Option<serde_json::Value>,
}

impl ListedJob {
    pub fn cursor(&self) -> Cursor {
        Cursor { submitted_at: self.submitted_at, arrival: self.place.arrival }
    }
}
