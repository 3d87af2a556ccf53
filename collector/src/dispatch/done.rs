//! What came of an act, for the core to apply.

use std::sync::Arc;

use comfyui::Error;
use comfyui::api::PromptRejected;

use super::act::FreeReply;
use super::recover::Found;
use crate::event::Event;
use crate::id::{BackendId, JobId};
use crate::job::{Job, Outcome};
use crate::queue::ChangeError;

/// What came of an act.
pub(super) enum Done {
    Sent {
        job: JobId,
        attempt: u32,
        sent: Sent,
    },
    LookedUp {
        job: JobId,
        attempt: u32,
        found: Result<Found, String>,
    },
    Requeued {
        job: JobId,
        attempt: u32,
    },
    Concluded(Box<Conclusion>),
    Stopped {
        job: JobId,
        attempt: u32,
        pending: bool,
        result: Result<(), Error>,
    },
    Freed {
        backend: BackendId,
        number: u64,
        result: Result<(), Error>,
        /// Whoever asked for it.
        reply: Option<FreeReply>,
    },
    Kept,
    /// A job that never left the queue was taken out of it.
    Cancelled {
        job: JobId,
        only_pending: bool,
        result: Result<(), ChangeError>,
    },
    /// An act was never answered.
    Lost,
}

pub(super) enum Sent {
    Accepted {
        prompt_id: String,
    },
    /// The intent was not committed: the job was cancelled meanwhile, or the store failed.
    NotCommitted(ChangeError),
    /// The backend has not seen it: it cannot be reached, or what is to be sent cannot be read now.
    Never {
        reason: String,
    },
    /// The backend has not seen it, and what kept it from it may do so again.
    Undeliverable {
        reason: String,
    },
    /// The backend has not queued it: it, or what stands before it, answered with a status that says so.
    Refused {
        reason: String,
    },
    /// No backend can be given it.
    Impossible {
        reason: String,
    },
    /// The backend will not run it, ever.
    Rejected(Box<PromptRejected>),
    /// It may or may not have it.
    Doubtful {
        reason: String,
    },
}

/// A job that has ended, durably.
pub(super) struct Conclusion {
    pub job: Arc<Job>,
    pub outcome: Outcome,
    /// What went wrong, in one line; empty where nothing did.
    pub reason: String,
    /// What the client is still to be told, in order.
    pub events: Vec<Event>,
}
