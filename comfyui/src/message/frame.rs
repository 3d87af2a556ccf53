//! One frame, text or binary.

use bytes::Bytes;

use super::{Message, Preview, Text};

/// What a server sends.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// A text frame.
    Message(Message),
    /// A binary frame with a picture of an unfinished result (events 1 and 4).
    Preview(Preview),
    /// A binary frame with a node's text (event 3).
    Text(Text),
    /// Any other binary frame, whole.
    Other(Bytes),
}

/// Why a frame cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Text that is no JSON object with a string `type`.
    #[error("a text frame that is no ComfyUI message: {0}")]
    NotAMessage(serde_json::Error),
    /// A binary frame shorter than its own header says.
    #[error("a binary frame of {bytes} bytes that ends within its header")]
    Truncated {
        /// How long it is.
        bytes: usize,
    },
    /// A preview whose metadata is no JSON object.
    #[error("a preview whose metadata cannot be read: {0}")]
    Metadata(serde_json::Error),
}

impl Frame {
    /// Reads a text frame.
    ///
    /// # Errors
    /// See [`Message::from_text`].
    pub fn from_text(text: &str) -> Result<Self, FrameError> {
        Message::from_text(text).map(Self::Message)
    }

    /// Reads a binary frame: a big-endian event number and what it calls for. Pictures are not copied.
    ///
    /// # Errors
    /// When the frame ends within its header, or a preview's metadata is no JSON.
    pub fn from_binary(bytes: Bytes) -> Result<Self, FrameError> {
        super::binary::decode(bytes)
    }

    /// The prompt that it is about, if it says so: previews without metadata do not, and belong to what runs now for
    /// that client.
    #[must_use]
    pub fn prompt_id(&self) -> Option<&str> {
        match self {
            Self::Message(message) => message.prompt_id(),
            Self::Preview(preview) => preview.metadata.as_ref()?.prompt_id.as_deref(),
            Self::Text(_) | Self::Other(_) => None,
        }
    }

    /// Makes it about this prompt where it names one.
    pub fn set_prompt_id(&mut self, prompt_id: &str) {
        match self {
            Self::Message(message) => message.set_prompt_id(prompt_id),
            Self::Preview(preview) => preview.set_prompt_id(prompt_id),
            Self::Text(_) | Self::Other(_) => {}
        }
    }
}
