//! `/history`: what became of prompts, as long as a server remembers (10,000 entries, none over a restart).

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{FileRef, QueueItem, files_of};

/// Prompt id → what became of it, oldest first.
pub type History = IndexMap<String, HistoryEntry>;

/// One finished prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// What was queued.
    pub prompt: QueueItem,
    /// Node id → what it put out, such as `{"images": [{filename, subfolder, type}]}`.
    #[serde(default)]
    pub outputs: IndexMap<String, Value>,
    /// How it ended; absent in servers before 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<HistoryStatus>,
    /// Node id → which node of the graph it stands for; absent in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl HistoryEntry {
    /// The files that it put out, previews (`temp`) included: (node id, file).
    pub fn files(&self) -> impl Iterator<Item = (&str, FileRef)> {
        self.outputs.iter().flat_map(|(node, output)| files_of(output).map(move |file| (node.as_str(), file)))
    }
}

/// How a prompt ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct HistoryStatus {
    /// `success` or `error`; an interrupted prompt is an `error`, told apart by its messages.
    pub status_str: String,
    /// Whether it ran to its end.
    pub completed: bool,
    /// The messages sent to its client, as (type, data): `execution_start`, `execution_error`, ...
    #[serde(default)]
    pub messages: Vec<(String, Value)>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl HistoryStatus {
    /// The data of the last message of this type, such as `execution_error`.
    #[must_use]
    pub fn message(&self, kind: &str) -> Option<&Value> {
        self.messages.iter().rev().find(|(known, _)| known == kind).map(|(_, data)| data)
    }
}
