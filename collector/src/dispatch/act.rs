//! What dispatch wants done, in order: said by `core`, done by the driver.

use std::sync::Arc;

use axum::extract::ws::Utf8Bytes;
use comfyui::api::FreeRequest;
use tokio::sync::oneshot;

use super::conclude::Closing;
use super::kept::Kept;
use crate::event::{Event, Listener};
use crate::id::{BackendId, JobId};
use crate::job::{Course, Job};
use crate::queue::ChangeError;
use crate::route::Assignment;

/// What takes time; each is answered by a `Done`.
pub(super) enum Work {
    Dispatch {
        job: Arc<Job>,
        attempt: u32,
        assignment: Assignment,
    },
    LookUp {
        backend: BackendId,
        job: JobId,
        attempt: u32,
        prompt_id: Option<String>,
    },
    Requeue {
        job: JobId,
        attempt: u32,
        spent: bool,
        reason: String,
        course: Course,
    },
    Conclude(Box<Closing>),
    /// A prompt that waits on the backend is taken out of its queue (`pending`), one that runs is interrupted.
    Stop {
        backend: BackendId,
        job: JobId,
        attempt: u32,
        prompt_id: String,
        pending: bool,
    },
    /// A job that no backend has is taken out of the queue.
    Cancel {
        job: JobId,
        only_pending: bool,
        reply: Option<TakenUp>,
    },
    Free {
        backend: BackendId,
        number: u64,
        request: FreeRequest,
        reply: Option<FreeReply>,
    },
    /// What was learned is written down.
    Keep(Box<Kept>),
}

/// That a stop has been taken up. An error: the queue could not be changed, and the job waits on.
pub(super) type TakenUp = oneshot::Sender<Result<(), ChangeError>>;

/// The number of the free, once the backend has accepted it, or why it could not be asked.
pub(super) type FreeReply = oneshot::Sender<Result<u64, String>>;

pub(super) enum Act {
    Begin(Work),
    // The rest is done at once.
    Tell {
        job: JobId,
        listener: Option<Listener>,
        event: Event,
    },
    TellExecuting {
        job: JobId,
        listener: Option<Listener>,
        text: Utf8Bytes,
    },
    /// Where the job stands is no longer told to clients that come back.
    TellNoMore(JobId),
    /// The last events of a job that has ended, durably.
    TellEnd {
        job: JobId,
        listener: Option<Listener>,
        events: Vec<Event>,
    },
    /// A job that never ran is over; nobody hears of it but by the queue's length.
    TellFewer,
    /// The backend is another process than the one that was given files.
    ForgetDelivered(BackendId),
    /// This program is to end: the next start finds everything again.
    Halt,
}
