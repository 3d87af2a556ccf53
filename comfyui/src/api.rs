//! Bodies of requests and answers, pure serde.
//!
//! Owns the shapes, tolerant of every server from March 2024 on: what a server leaves out is `None`, what this library
//! does not know is kept in `extra` and written again. No body is checked for sense here.

mod files;
mod history;
mod interface;
mod jobs;
mod queue;
mod submit;
mod system;

pub use files::{FileRef, UploadAnswer, files_of};
pub use history::{History, HistoryEntry, HistoryStatus};
pub use interface::{Features, GlobalSubgraph, ModelFolder, UserFile, Users};
pub use jobs::{Cancelled, Job, JobWorkflow, Jobs, JobsQuery, Pagination, PreviewOutput};
pub use queue::{ExecInfo, QueueItem, QueueRemaining, QueueState};
pub use submit::{PromptAccepted, PromptRejected, PromptRequest};
pub use system::{Device, FreeRequest, System, SystemStats};
