//! The documents of the collector's own API, as far as this program reads them: of any version, so every part may be
//! absent.

use std::collections::BTreeMap;

use comfyui::api::{FileRef, HistoryStatus, files_of};
use indexmap::IndexMap;
use report::NodeMetrics;
use serde::Deserialize;
use serde_json::Value;

use crate::clock::UnixMillis;

/// One job.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Record {
    #[serde(default)]
    pub(super) id: String,
    /// `waiting`, `dispatched` or the like while it lives, else how it ended.
    pub(super) state: String,
    #[serde(default)]
    pub(super) submitted_at: Option<UnixMillis>,
    #[serde(default)]
    pub(super) ended_at: Option<UnixMillis>,
    /// The newest is last.
    #[serde(default)]
    pub(super) attempts: Vec<Attempt>,
    /// Model files that it names.
    #[serde(default)]
    pub(super) models: Vec<String>,
    /// Backend → what speaks for or against it.
    #[serde(default)]
    pub(super) why_waiting: Option<BTreeMap<String, String>>,
    /// Node → what it put out.
    #[serde(default)]
    pub(super) outputs: Option<IndexMap<String, Value>>,
    /// As in ComfyUI's history.
    #[serde(default)]
    pub(super) status: Value,
    /// What the submission asked for.
    #[serde(default)]
    pub(super) wishes: BTreeMap<String, Value>,
    #[serde(default)]
    pub(super) webhook: Option<Webhook>,
}

/// How far telling of the job's end is.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Webhook {
    #[serde(default)]
    pub(super) receiver: String,
    /// `waiting`, `delivered`, `given_up`.
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) attempts: u32,
    #[serde(default)]
    pub(super) error: Option<String>,
}

/// One dispatch to a backend.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(super) struct Attempt {
    /// 1 for the first.
    #[serde(default)]
    pub(super) number: u32,
    pub(super) backend: String,
    /// The router's reasons: for this backend first, then against the others.
    #[serde(default)]
    pub(super) why: String,
    #[serde(default)]
    pub(super) dispatched_at: Option<UnixMillis>,
    #[serde(default)]
    pub(super) ended_at: Option<UnixMillis>,
    #[serde(default)]
    pub(super) ending: Value,
}

impl Record {
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state.as_str(), "succeeded" | "failed" | "interrupted" | "cancelled")
    }

    /// The node and the exception of a failed job.
    pub(super) fn failure(&self) -> Option<String> {
        let status = HistoryStatus::deserialize(&self.status).ok()?;
        let error = status.message("execution_error")?;
        let text = |key: &str| error.get(key).and_then(Value::as_str).map(str::trim);
        let node = text("node_id").map(|id| format!("node {id} ({}): ", text("node_type").unwrap_or("?")));
        let kind = text("exception_type").map(|kind| format!("{kind}: "));
        let said = text("exception_message").unwrap_or("no reason given");
        Some(format!("{}{}{said}", node.unwrap_or_default(), kind.unwrap_or_default()))
    }

    /// The files that it put out, previews (`temp`) included: (node, file).
    pub(super) fn files(&self) -> impl Iterator<Item = (&str, FileRef)> {
        let outputs = self.outputs.iter().flatten();
        outputs.flat_map(|(node, output)| files_of(output).map(move |file| (node.as_str(), file)))
    }

    /// Where it is, or ended.
    pub(super) fn place(&self) -> Option<&str> {
        self.attempts.last().map(|attempt| attempt.backend.as_str())
    }
}

impl Attempt {
    /// What spoke for its backend, without the seconds that it was expected to cost.
    pub(super) fn reason(&self) -> &str {
        self.why.split_once(": ").map_or(self.why.as_str(), |(rule, _)| rule)
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct JobList {
    pub(super) jobs: Vec<Listed>,
    /// Asks for what follows.
    #[serde(default)]
    pub(super) next: Option<String>,
}

/// A job in a list.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Listed {
    pub(super) id: String,
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) submitted_at: Option<UnixMillis>,
    #[serde(default)]
    pub(super) ended_at: Option<UnixMillis>,
    /// Where it is or was last.
    #[serde(default)]
    pub(super) backend: Option<String>,
    #[serde(default)]
    pub(super) models: Vec<String>,
    /// Why it failed, in one line.
    #[serde(default)]
    pub(super) error: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(super) struct BackendList {
    pub(super) backends: Vec<Backend>,
}

#[derive(Debug, Default, Deserialize)]
pub(super) struct Backend {
    pub(super) id: String,
    #[serde(default)]
    pub(super) url: String,
    /// `unknown`, `up` or `down`.
    #[serde(default)]
    pub(super) state: String,
    #[serde(default)]
    pub(super) reason: Option<String>,
    #[serde(default)]
    pub(super) takes_jobs: bool,
    /// Prompts in its own queue, whoever submitted them.
    #[serde(default)]
    pub(super) backlog: Option<u64>,
    #[serde(default)]
    pub(super) models: Vec<String>,
    /// The collector's jobs that are with it.
    #[serde(default)]
    pub(super) jobs: Option<u64>,
    #[serde(default)]
    pub(super) drain: Option<Drain>,
    #[serde(default)]
    pub(super) metrics: Option<NodeMetrics>,
    #[serde(default)]
    pub(super) rests: Option<Rests>,
    #[serde(default)]
    pub(super) not_freed: Option<NotFreed>,
}

/// Why a backend that is up gets no job for a while.
#[derive(Debug, Deserialize)]
pub(super) struct Rests {
    pub(super) reason: String,
}

/// A backend that does not free its memory.
#[derive(Debug, Deserialize)]
pub(super) struct NotFreed {
    pub(super) times_in_a_row: u32,
}

/// While a backend is to get no new job.
#[derive(Debug, Deserialize)]
pub(super) struct Drain {
    /// `draining` while jobs are with it, `drained` afterwards.
    pub(super) state: String,
}
