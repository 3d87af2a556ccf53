//! The data of each known message.
//!
//! `prompt_id` is optional everywhere since old servers leave it out here and there; `timestamp` is in milliseconds
//! since 1970 and absent in 2024.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Number, Value};

use crate::api::QueueRemaining;

/// Data of `status`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// How much is left, over all clients.
    pub status: QueueRemaining,
    /// The connection's own client id; in the first frame of a connection only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data of `execution_start`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionStart {
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data of `execution_success`.
pub type ExecutionSuccess = ExecutionStart;

/// Data of `execution_cached`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionCached {
    /// The nodes whose results are still there.
    pub nodes: Vec<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data of `executing`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Executing {
    /// The node at work; `None` ends the prompt, also a failed and an interrupted one.
    pub node: Option<String>,
    /// The node of the client's graph that it stands for; absent in 2024 and at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_node: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data of `progress`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Steps done.
    pub value: Number,
    /// Steps in all.
    pub max: Number,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Progress {
    /// How much is done, from 0 to 1; `None` where there is nothing to do.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        fraction(&self.value, &self.max)
    }
}

/// Data of `progress_state`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ProgressState {
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// Node id → how far it is; nodes that have not begun are missing.
    pub nodes: IndexMap<String, NodeProgress>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ProgressState {
    pub(super) fn set_nested_prompt_ids(&mut self, prompt_id: &str) {
        for place in self.nodes.values_mut().filter_map(|node| node.prompt_id.as_mut()) {
            prompt_id.clone_into(place);
        }
    }
}

/// How far one node is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NodeProgress {
    /// Steps done.
    pub value: Number,
    /// Steps in all.
    pub max: Number,
    /// `pending`, `running`, `finished` or `error`.
    pub state: String,
    /// The node.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node of the client's graph that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_node_id: Option<String>,
    /// Everything else, `parent_node_id` and `real_node_id` included.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl NodeProgress {
    /// How much is done, from 0 to 1; `None` where there is nothing to do.
    #[must_use]
    pub fn fraction(&self) -> Option<f64> {
        fraction(&self.value, &self.max)
    }
}

fn fraction(value: &Number, max: &Number) -> Option<f64> {
    let (value, max) = (value.as_f64()?, max.as_f64()?);
    (max > 0.0).then(|| (value / max).clamp(0.0, 1.0))
}

/// Data of `executed`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Executed {
    /// The output node.
    pub node: String,
    /// The node of the client's graph that it stands for; absent in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_node: Option<String>,
    /// What it put out, such as `{"images": [{filename, subfolder, type}]}`; null for some nodes.
    pub output: Value,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Data of `execution_error`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionError {
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node that raised.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    /// The nodes that were done by then, in no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<Vec<String>>,
    /// What Python's exception says.
    #[serde(default)]
    pub exception_message: String,
    /// Its class with its module, except for Python's own: `ValueError`, `torch.OutOfMemoryError`.
    #[serde(default)]
    pub exception_type: String,
    /// Lines.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traceback: Option<Value>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Everything else, `current_inputs` and `current_outputs` (tensors as text) included.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl ExecutionError {
    /// Whether the device's memory ran out: `torch.OutOfMemoryError`, `torch.cuda.OutOfMemoryError` in older PyTorch,
    /// or any exception that says so.
    #[must_use]
    pub fn is_out_of_memory(&self) -> bool {
        self.exception_type.ends_with("OutOfMemoryError")
            || self.exception_message.to_lowercase().contains("out of memory")
    }
}

/// Data of `execution_interrupted`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecutionInterrupted {
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node that was at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// Its class.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_type: Option<String>,
    /// The nodes that were done by then, in no order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub executed: Option<Vec<String>>,
    /// When, in milliseconds since 1970.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}
