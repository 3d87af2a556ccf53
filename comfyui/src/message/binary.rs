//! Binary frames: previews and texts. All numbers are big-endian `u32`.

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Frame, FrameError};

/// `image type`, then the picture.
const PREVIEW: u32 = 1;
/// `length`, node id, then the text.
const TEXT: u32 = 3;
/// `length`, metadata as JSON, then the picture.
const PREVIEW_WITH_METADATA: u32 = 4;

/// A picture of an unfinished result.
#[derive(Debug, Clone, PartialEq)]
pub struct Preview {
    /// What the picture is encoded as.
    pub image_type: ImageType,
    /// The encoded picture.
    pub image: Bytes,
    /// What it belongs to; only for clients with the feature flag `supports_preview_metadata`, and not in 2024.
    pub metadata: Option<PreviewMetadata>,
}

/// What a picture is encoded as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageType {
    /// Number 1, `image/jpeg`.
    Jpeg,
    /// Number 2, `image/png`.
    Png,
    /// Any other number; 0 for a MIME type that has none.
    Other(u32),
}

impl ImageType {
    fn from_number(number: u32) -> Self {
        match number {
            1 => Self::Jpeg,
            2 => Self::Png,
            other => Self::Other(other),
        }
    }

    fn from_mime(mime: &str) -> Self {
        match mime {
            "image/jpeg" => Self::Jpeg,
            "image/png" => Self::Png,
            _ => Self::Other(0),
        }
    }

    /// The number on the wire.
    #[must_use]
    pub fn number(self) -> u32 {
        match self {
            Self::Jpeg => 1,
            Self::Png => 2,
            Self::Other(number) => number,
        }
    }

    /// The MIME type, `application/octet-stream` where it is not known.
    #[must_use]
    pub fn mime(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Other(_) => "application/octet-stream",
        }
    }
}

/// What a preview belongs to.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PreviewMetadata {
    /// The node at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node_id: Option<String>,
    /// The prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// The node of the client's graph that it stands for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub display_node_id: Option<String>,
    /// The picture's MIME type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image_type: Option<String>,
    /// Everything else, `parent_node_id` and `real_node_id` included.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Preview {
    /// The binary frame: event 4 if metadata is wanted and there is some, else event 1.
    ///
    /// ```
    /// use comfyui::message::{ImageType, Preview};
    ///
    /// let preview = Preview { image_type: ImageType::Png, image: (&b"\x89PNG"[..]).into(), metadata: None };
    /// assert_eq!(preview.to_binary(true), &b"\0\0\0\x01\0\0\0\x02\x89PNG"[..]);
    /// ```
    #[must_use]
    pub fn to_binary(&self, with_metadata: bool) -> Bytes {
        let metadata = self.metadata.as_ref().filter(|_| with_metadata);
        match metadata.and_then(|metadata| serde_json::to_vec(metadata).ok()) {
            Some(json) => framed(PREVIEW_WITH_METADATA, length(&json), &[&json, &self.image]),
            None => framed(PREVIEW, self.image_type.number(), &[&self.image]),
        }
    }

    /// Makes it about this prompt, if it has metadata.
    pub fn set_prompt_id(&mut self, prompt_id: &str) {
        if let Some(metadata) = &mut self.metadata {
            metadata.prompt_id = Some(prompt_id.to_owned());
        }
    }
}

/// Text that a node shows while it works; not in 2024.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The node.
    pub node_id: String,
    /// The text.
    pub text: String,
}

impl Text {
    /// The binary frame, event 3.
    #[must_use]
    pub fn to_binary(&self) -> Bytes {
        let node_id = self.node_id.as_bytes();
        framed(TEXT, length(node_id), &[node_id, self.text.as_bytes()])
    }
}

/// Saturates: what is written here was read from a frame, and frames are bounded far below 4 GiB.
fn length(bytes: &[u8]) -> u32 {
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

fn framed(event: u32, number: u32, parts: &[&[u8]]) -> Bytes {
    let mut frame = BytesMut::with_capacity(8 + parts.iter().map(|part| part.len()).sum::<usize>());
    frame.put_u32(event);
    frame.put_u32(number);
    for part in parts {
        frame.put_slice(part);
    }
    frame.freeze()
}

pub(super) fn decode(bytes: Bytes) -> Result<Frame, FrameError> {
    let mut reader = Reader { whole: bytes.len(), rest: bytes.clone() };
    match reader.number()? {
        PREVIEW => Ok(Frame::Preview(Preview {
            image_type: ImageType::from_number(reader.number()?),
            image: reader.rest,
            metadata: None,
        })),
        PREVIEW_WITH_METADATA => preview_with_metadata(reader).map(Frame::Preview),
        TEXT => Ok(text(reader).map_or(Frame::Other(bytes), Frame::Text)),
        _ => Ok(Frame::Other(bytes)),
    }
}

fn preview_with_metadata(mut reader: Reader) -> Result<Preview, FrameError> {
    let json = reader.prefixed()?;
    let metadata: PreviewMetadata = serde_json::from_slice(&json).map_err(FrameError::Metadata)?;
    let image_type = metadata.image_type.as_deref().map_or(ImageType::Other(0), ImageType::from_mime);
    Ok(Preview { image_type, image: reader.rest, metadata: Some(metadata) })
}

/// `None` where it is not in the form that is known: the form has changed between servers, and the frame is passed on.
fn text(mut reader: Reader) -> Option<Text> {
    let node_id = String::from_utf8(reader.prefixed().ok()?.into()).ok()?;
    Some(Text { node_id, text: String::from_utf8(reader.rest.into()).ok()? })
}

struct Reader {
    whole: usize,
    rest: Bytes,
}

impl Reader {
    fn number(&mut self) -> Result<u32, FrameError> {
        let taken = self.take(size_of::<u32>())?;
        Ok(taken.iter().fold(0, |number, byte| number << 8 | u32::from(*byte)))
    }

    fn prefixed(&mut self) -> Result<Bytes, FrameError> {
        let length = self.number()?;
        self.take(length as usize)
    }

    fn take(&mut self, bytes: usize) -> Result<Bytes, FrameError> {
        if self.rest.len() < bytes {
            return Err(FrameError::Truncated { bytes: self.whole });
        }
        Ok(self.rest.split_to(bytes))
    }
}
