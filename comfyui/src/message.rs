//! Frames of the WebSocket: pure encode and decode, no IO.
//!
//! Owns the shapes of messages and previews of every server from March 2024 on. What this library does not know is
//! passed through: a message of an unknown type, or of a known type in an unknown shape, is [`Message::Other`]; unknown
//! fields are kept; an unknown binary frame is [`Frame::Other`]. Whom a frame is for is not decided here.

mod binary;
mod event;
mod frame;

pub use binary::{ImageType, Preview, PreviewMetadata, Text};
pub use event::{
    Executed, Executing, ExecutionCached, ExecutionError, ExecutionInterrupted, ExecutionStart,
    ExecutionSuccess, NodeProgress, Progress, ProgressState, Status,
};
pub use frame::{Frame, FrameError};

use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A text frame: `{"type": ..., "data": ...}`.
///
/// ```
/// use comfyui::Message;
///
/// let mut message = Message::from_text(r#"{"type": "execution_start", "data": {"prompt_id": "theirs"}}"#)?;
/// message.set_prompt_id("ours");
/// assert_eq!(message.to_text(), r#"{"type":"execution_start","data":{"prompt_id":"ours"}}"#);
/// # Ok::<(), comfyui::message::FrameError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// How much a server has to do; to all clients, and with `sid` the first frame of a connection.
    Status(Status),
    /// A prompt has begun.
    ExecutionStart(ExecutionStart),
    /// Which nodes of it need no work.
    ExecutionCached(ExecutionCached),
    /// Which node works now. Without a node: the prompt has ended, *well or not*.
    Executing(Executing),
    /// How far a node is.
    Progress(Progress),
    /// How far all nodes are; not in 2024.
    ProgressState(ProgressState),
    /// What an output node has put out.
    Executed(Executed),
    /// The prompt has run to its end; not in 2024.
    ExecutionSuccess(ExecutionSuccess),
    /// A node has raised an exception, and the prompt has ended.
    ExecutionError(ExecutionError),
    /// Somebody has stopped the prompt.
    ExecutionInterrupted(ExecutionInterrupted),
    /// What the other side can do: sent by both sides; not in 2024.
    FeatureFlags(Map<String, Value>),
    /// What this library does not know.
    Other {
        /// The `type`.
        kind: String,
        /// The `data`; null where there is none.
        data: Value,
    },
}

impl Message {
    /// Reads a text frame.
    ///
    /// # Errors
    /// When it is no JSON object with a string `type`.
    pub fn from_text(text: &str) -> Result<Self, FrameError> {
        let envelope: Envelope = crate::from_slice(text.as_bytes()).map_err(FrameError::NotAMessage)?;
        Ok(Self::of(envelope.kind, envelope.data))
    }

    /// The message of this type with this data, [`Message::Other`] where the two do not fit.
    #[must_use]
    pub fn of(kind: String, data: Value) -> Self {
        let known = match kind.as_str() {
            "status" => read(&data).map(Self::Status),
            "execution_start" => read(&data).map(Self::ExecutionStart),
            "execution_cached" => read(&data).map(Self::ExecutionCached),
            "executing" => read(&data).map(Self::Executing),
            "progress" => read(&data).map(Self::Progress),
            "progress_state" => read(&data).map(Self::ProgressState),
            "executed" => read(&data).map(Self::Executed),
            "execution_success" => read(&data).map(Self::ExecutionSuccess),
            "execution_error" => read(&data).map(Self::ExecutionError),
            "execution_interrupted" => read(&data).map(Self::ExecutionInterrupted),
            "feature_flags" => read(&data).map(Self::FeatureFlags),
            _ => None,
        };
        known.unwrap_or(Self::Other { kind, data })
    }

    /// The `type`.
    #[must_use]
    pub fn kind(&self) -> &str {
        match self {
            Self::Status(_) => "status",
            Self::ExecutionStart(_) => "execution_start",
            Self::ExecutionCached(_) => "execution_cached",
            Self::Executing(_) => "executing",
            Self::Progress(_) => "progress",
            Self::ProgressState(_) => "progress_state",
            Self::Executed(_) => "executed",
            Self::ExecutionSuccess(_) => "execution_success",
            Self::ExecutionError(_) => "execution_error",
            Self::ExecutionInterrupted(_) => "execution_interrupted",
            Self::FeatureFlags(_) => "feature_flags",
            Self::Other { kind, .. } => kind,
        }
    }

    /// The `data`.
    #[must_use]
    pub fn data(&self) -> Value {
        match self {
            Self::Status(data) => json!(data),
            Self::ExecutionStart(data) => json!(data),
            Self::ExecutionCached(data) => json!(data),
            Self::Executing(data) => json!(data),
            Self::Progress(data) => json!(data),
            Self::ProgressState(data) => json!(data),
            Self::Executed(data) => json!(data),
            Self::ExecutionSuccess(data) => json!(data),
            Self::ExecutionError(data) => json!(data),
            Self::ExecutionInterrupted(data) => json!(data),
            Self::FeatureFlags(data) => json!(data),
            Self::Other { data, .. } => data.clone(),
        }
    }

    /// The text frame.
    #[must_use]
    pub fn to_text(&self) -> String {
        json!({"type": self.kind(), "data": self.data()}).to_string()
    }

    /// The prompt that it is about, if it says so.
    #[must_use]
    pub fn prompt_id(&self) -> Option<&str> {
        match self {
            Self::Status(_) | Self::FeatureFlags(_) => None,
            Self::Other { data, .. } => data.get("prompt_id")?.as_str(),
            Self::ExecutionStart(data) => data.prompt_id.as_deref(),
            Self::ExecutionCached(data) => data.prompt_id.as_deref(),
            Self::Executing(data) => data.prompt_id.as_deref(),
            Self::Progress(data) => data.prompt_id.as_deref(),
            Self::ProgressState(data) => data.prompt_id.as_deref(),
            Self::Executed(data) => data.prompt_id.as_deref(),
            Self::ExecutionSuccess(data) => data.prompt_id.as_deref(),
            Self::ExecutionError(data) => data.prompt_id.as_deref(),
            Self::ExecutionInterrupted(data) => data.prompt_id.as_deref(),
        }
    }

    /// Makes it about this prompt, the ids inside a `progress_state` included.
    ///
    /// Messages that are about no prompt (`status`, `feature_flags`, unknown ones that name none) stay as they are.
    pub fn set_prompt_id(&mut self, prompt_id: &str) {
        if let Some(place) = self.prompt_id_mut() {
            *place = Some(prompt_id.to_owned());
        }
        match self {
            Self::ProgressState(data) => data.set_nested_prompt_ids(prompt_id),
            Self::Other { data, .. } => {
                if let Some(place @ Value::String(_)) = data.get_mut("prompt_id") {
                    *place = Value::from(prompt_id);
                }
            }
            _ => {}
        }
    }

    fn prompt_id_mut(&mut self) -> Option<&mut Option<String>> {
        match self {
            Self::Status(_) | Self::FeatureFlags(_) | Self::Other { .. } => None,
            Self::ExecutionStart(data) => Some(&mut data.prompt_id),
            Self::ExecutionCached(data) => Some(&mut data.prompt_id),
            Self::Executing(data) => Some(&mut data.prompt_id),
            Self::Progress(data) => Some(&mut data.prompt_id),
            Self::ProgressState(data) => Some(&mut data.prompt_id),
            Self::Executed(data) => Some(&mut data.prompt_id),
            Self::ExecutionSuccess(data) => Some(&mut data.prompt_id),
            Self::ExecutionError(data) => Some(&mut data.prompt_id),
            Self::ExecutionInterrupted(data) => Some(&mut data.prompt_id),
        }
    }
}

#[derive(serde::Deserialize)]
struct Envelope {
    #[serde(rename = "type")]
    kind: String,
    #[serde(default)]
    data: Value,
}

fn read<T: DeserializeOwned>(data: &Value) -> Option<T> {
    T::deserialize(data).ok()
}
