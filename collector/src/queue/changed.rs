//! What those who watch the queue are told of a job after each commit: where it stands, and nothing of what it is.

use super::ListedJob;
use crate::id::{BackendId, JobId};
use crate::job::{Job, Standing, State};

#[derive(Clone, Debug, PartialEq)]
pub struct JobChanged {
    pub job: JobId,
    pub state: Standing,
    /// Where it is, and in which attempt.
    pub attempt: Option<(BackendId, u32)>,
}

impl JobChanged {
    pub fn of(job: &Job) -> Self {
        let state = match &job.state {
            State::Waiting => Standing::Waiting,
            State::Dispatched(_) => Standing::Dispatched,
            State::Ended(outcome) => Standing::Ended(*outcome),
        };
        let attempt = job.attempt().map(|attempt| (attempt.backend.clone(), attempt.number));
        Self { job: job.id, state, attempt }
    }

    /// Of one that has ended.
    pub(super) fn listed(job: &ListedJob) -> Self {
        Self { job: job.id, state: job.standing, attempt: None }
    }
}
