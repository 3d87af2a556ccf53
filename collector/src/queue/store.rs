//! What a durable store must do. One suite (`conformance.rs`) holds every implementation to it.

use async_trait::async_trait;
use comfyui::api::FileRef;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::copies::{Copies, Made};
use super::error::Error;
use super::listing::{Filter, ListedJob, Window};
use super::notices::{Delivery, Tried, WaitingNotice};
use super::retention::{Held, Remembered};
use crate::clock::UnixMillis;
use crate::id::{BackendId, JobId};
use crate::job::{Change, Course, Job, Notice, Outcome, Place, Results, Submission, Wishes};

/// Something to be written. A batch of them is committed as one transaction: all or none.
#[derive(Debug)]
pub enum Write {
    Submit(Box<Submission>),
    /// A change that was found legal, with the attempt's number that it concerns already in it.
    Change(Change),
    /// What a job's end tells, beside that end.
    Notify(Notice),
    /// That copies are wanted of what a job has made, beside its end.
    Archive(Made),
    /// Forgets ended jobs, of this owner only if one is named.
    Forget {
        jobs: Vec<JobId>,
        owner: Option<String>,
    },
}

impl Write {
    pub(super) fn submission(&self) -> Option<&Submission> {
        match self {
            Self::Submit(submission) => Some(submission),
            _ => None,
        }
    }

    pub(super) fn change(&self) -> Option<&Change> {
        match self {
            Self::Change(change) => Some(change),
            _ => None,
        }
    }

    pub(super) fn notice(&self) -> Option<&Notice> {
        match self {
            Self::Notify(notice) => Some(notice),
            _ => None,
        }
    }

    pub(super) fn made(&self) -> Option<&Made> {
        match self {
            Self::Archive(made) => Some(made),
            _ => None,
        }
    }
}

/// What must be read of a job before it is sent to a backend.
#[derive(Clone, Debug)]
pub struct Documents {
    pub prompt: Box<RawValue>,
    pub extra_data: Map<String, Value>,
    pub partial_execution_targets: Option<Vec<String>>,
    pub outputs_to_execute: Vec<String>,
}

/// A job that has ended, with all that `/history` shows of it.
#[derive(Clone, Debug)]
pub struct EndedJob {
    pub id: JobId,
    pub place: Place,
    pub submitted_at: UnixMillis,
    pub ended_at: UnixMillis,
    pub outcome: Outcome,
    pub wishes: Wishes,
    pub documents: Documents,
    pub results: Results,
}

/// One attempt as it is remembered: where it ran and why there.
#[derive(Clone, Debug, PartialEq)]
pub struct AttemptRecord {
    pub number: u32,
    pub backend: BackendId,
    pub prompt_id: Option<String>,
    pub dispatched_at: UnixMillis,
    /// Kept with its end.
    pub course: Course,
    pub ended_at: Option<UnixMillis>,
    /// `succeeded`, `failed`, ..., or why the job waited again.
    pub ending: Option<String>,
    pub why: String,
}

/// A job that has ended had a backend in this time.
#[derive(Clone, Debug, PartialEq)]
pub struct Use {
    pub owner: String,
    pub from: UnixMillis,
    pub to: UnixMillis,
}

/// A file that a client uploaded: its name in one of ComfyUI's three folders, and what it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Upload {
    pub file: FileRef,
    /// SHA-256 of the content, under which it lies in the state directory.
    pub sha256: [u8; 32],
    pub size_bytes: u64,
}

/// What a page of history is asked for by.
#[derive(Clone, Copy, Debug, Default)]
pub struct Page {
    /// The newest so many; `None`: as many as [`crate::limits::HISTORY_PAGE`].
    pub max_items: Option<u64>,
    /// From the oldest on; negative or absent: the newest `max_items`, as ComfyUI means it.
    pub offset: Option<u64>,
}

#[async_trait]
pub trait Store: Copies {
    /// All of `writes` durably, or none. Of each submission, in their order, the arrival number that it got, each higher
    /// than all before; `None` where a job of its id is there already, which is left as it is.
    async fn commit(&self, writes: &[Write]) -> Result<Vec<Option<u64>>, Error>;

    /// Whether what is committed here would still be: no other collector has taken over.
    async fn confirm(&self) -> Result<(), Error> {
        Ok(())
    }

    /// The jobs that wait or are with a backend.
    async fn live(&self) -> Result<Vec<Job>, Error>;

    /// The fingerprint and arrival place of a job that was ever submitted and not forgotten.
    async fn submitted(&self, id: JobId) -> Result<Option<([u8; 32], Place)>, Error>;

    async fn documents(&self, id: JobId) -> Result<Option<Documents>, Error>;

    /// Ended jobs, oldest first; those cancelled before they ran are left out.
    async fn history(&self, page: Page) -> Result<Vec<EndedJob>, Error>;

    /// One page of jobs that wait, run or have ended.
    async fn list(&self, filter: &Filter, window: &Window) -> Result<Vec<ListedJob>, Error>;

    /// The line that a list shows of one job.
    async fn listed(&self, id: JobId) -> Result<Option<ListedJob>, Error>;

    /// How many pass the filter.
    async fn count(&self, filter: &Filter) -> Result<u64, Error>;

    async fn ended(&self, id: JobId) -> Result<Option<EndedJob>, Error>;

    /// All ended jobs together, those included that never ran.
    async fn held(&self) -> Result<Held, Error>;

    /// The ended jobs that ended first, in that order.
    async fn oldest_ended(&self, limit: u64, owner: Option<&str>) -> Result<Vec<Remembered>, Error>;

    /// How long the jobs of owners had backends, of those that ended after this time.
    async fn uses_since(&self, at: UnixMillis) -> Result<Vec<Use>, Error>;

    async fn attempts(&self, id: JobId) -> Result<Vec<AttemptRecord>, Error>;

    /// The webhooks that wait and were written after the one of this number, in their order.
    async fn notices_after(&self, sequence: u64) -> Result<Vec<WaitingNotice>, Error>;

    /// What is to be sent; `None` once it need not be.
    async fn notice_body(&self, sequence: u64) -> Result<Option<String>, Error>;

    async fn note_tried(&self, sequence: u64, at: UnixMillis, tried: &Tried) -> Result<(), Error>;

    /// How far the webhook of an ended job is.
    async fn delivery(&self, job: JobId) -> Result<Option<Delivery>, Error>;

    async fn keep_upload(&self, upload: &Upload) -> Result<(), Error>;

    async fn uploads(&self) -> Result<Vec<Upload>, Error>;

    /// The files in the results of ended jobs that have this name once their backend's is taken off, each once.
    async fn made_as(&self, file: &FileRef) -> Result<Vec<FileRef>, Error>;

    /// A small value kept under `key`, made by `make` when there is none yet.
    async fn setting(&self, key: &str, make: String) -> Result<String, Error>;

    /// Replaces what is kept under `key`.
    async fn keep_setting(&self, key: &str, value: &str) -> Result<(), Error>;
}
