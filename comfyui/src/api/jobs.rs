//! `/api/jobs`: what waits, runs and ran in one list; in 0.8 and later.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use super::{FileRef, HistoryStatus};

/// Which jobs `GET /api/jobs` lists, and how. What is `None` is left to the server: all, newest first.
///
/// ```
/// use comfyui::api::JobsQuery;
///
/// let unfinished = JobsQuery { status: Some("pending,in_progress".into()), ..JobsQuery::default() };
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobsQuery {
    /// Any of `pending`, `in_progress`, `completed`, `failed`, with commas between; `cancelled` in 0.38 only, and 0.8
    /// answers 400 to it.
    pub status: Option<String>,
    /// The id of the workflow that they were made from.
    pub workflow_id: Option<String>,
    /// `created_at` or `execution_duration`.
    pub sort_by: Option<String>,
    /// `asc` or `desc`.
    pub sort_order: Option<String>,
    /// How many at most, at least 1.
    pub limit: Option<u64>,
    /// How many to leave out first.
    pub offset: Option<u64>,
}

/// The answer of `GET /api/jobs`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Jobs {
    /// This part of the list.
    pub jobs: Vec<Job>,
    /// Which part it is.
    pub pagination: Pagination,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Which part of a list an answer is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Pagination {
    /// How many were left out first.
    pub offset: u64,
    /// How many at most; null for all.
    pub limit: Option<u64>,
    /// How many there are in all.
    pub total: u64,
    /// Whether more follow.
    pub has_more: bool,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One job. Times are in milliseconds since 1970. What is not known yet is absent.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// The prompt's id.
    pub id: String,
    /// `pending`, `in_progress`, `completed`, `failed`, or `cancelled` (0.38; 0.8 says `failed` then).
    pub status: String,
    /// The prompt's `number`: the least runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub priority: Option<Number>,
    /// When it was queued.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub create_time: Option<u64>,
    /// When it began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_start_time: Option<u64>,
    /// When it ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_end_time: Option<u64>,
    /// The data of its `execution_error`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_error: Option<Value>,
    /// How many things it put out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs_count: Option<u64>,
    /// How many of these can be shown; in newer servers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previewable_outputs_count: Option<u64>,
    /// The one to show for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preview_output: Option<PreviewOutput>,
    /// The id of the workflow that it was made from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow_id: Option<String>,
    /// Node id → what it put out; when one job is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outputs: Option<IndexMap<String, Value>>,
    /// How it ended, as in its history; when one job is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub execution_status: Option<HistoryStatus>,
    /// What was queued; when one job is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workflow: Option<JobWorkflow>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The output to show for a job: the first picture, video, sound or 3D model that is kept, else any such, else a text.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PreviewOutput {
    /// The file's name; absent for a text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Its folder under the one that `kind` names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subfolder: Option<String>,
    /// `output`, `input` or `temp`.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The node that put it out.
    #[serde(rename = "nodeId", default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Under which name: `images`, `video`, ...
    #[serde(rename = "mediaType", default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl PreviewOutput {
    /// The file, if it is one.
    #[must_use]
    pub fn file(&self) -> Option<FileRef> {
        Some(FileRef {
            filename: self.filename.clone()?,
            subfolder: self.subfolder.clone().unwrap_or_default(),
            kind: self.kind.clone().unwrap_or_else(super::files::output),
        })
    }
}

/// What a job was queued with.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct JobWorkflow {
    /// The graph.
    pub prompt: Value,
    /// What the client sent along; the web interface's workflow is in its `extra_pnginfo`.
    #[serde(default)]
    pub extra_data: Value,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The answer of a cancel route (0.38).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Cancelled {
    /// Whether there was something to cancel.
    pub cancelled: bool,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
