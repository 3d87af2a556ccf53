//! What ComfyUI saved inside its pictures: the workflow of the web interface and the prompt that was executed.
//!
//! Bytes of a whole file in, JSON documents out; no IO. Owns finding the documents and telling which is which. Whether
//! they make sense is a question for conversion and validation. Pixels are never decoded.

use std::borrow::Cow;
use std::fmt;

use serde_json::Value;

mod exif;
mod json;
mod png;
mod webp;

/// The longest document that is read out of a picture, in bytes after inflating: far above any real one. A picture of a
/// thousandth of that can inflate to it, and once it is read it can take 70 times as much memory.
pub const DOCUMENT_BYTES_MAX: u64 = 16 << 20;

/// How many texts of a picture are looked at: ComfyUI writes two, and each may inflate to [`DOCUMENT_BYTES_MAX`].
const TEXTS_MAX: usize = 4;

/// The documents of one file; at least one is there.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Saved {
    /// What the web interface saved: an object with the array `nodes`. Absent when a script sent the prompt.
    pub workflow: Option<Value>,
    /// What ComfyUI executed: an object of nodes, each with its `class_type`.
    pub prompt: Option<Value>,
}

/// What a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A PNG: `SaveImage`, `PreviewImage`, `SaveAnimatedPNG`.
    Png,
    /// A WebP: `SaveAnimatedWEBP`.
    WebP,
}

/// One of the two documents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Document {
    /// The web interface's.
    Workflow,
    /// ComfyUI's own.
    Prompt,
}

/// Why a file gives no document.
#[derive(Debug, thiserror::Error)]
pub enum SavedError {
    /// Neither picture nor JSON.
    #[error(
        "this is no PNG, no WebP and no JSON: give a picture that ComfyUI saved, or a workflow or prompt as JSON"
    )]
    Unknown,
    /// A whole picture without either document.
    #[error(
        "a {0} without a workflow or prompt: ComfyUI's metadata was removed or cut off, or something else made the file"
    )]
    Missing(Kind),
    /// JSON of another kind.
    #[error(
        "this JSON is neither a workflow (it has no array `nodes`) nor a prompt (no node has a `class_type`)"
    )]
    Unrecognized,
    /// JSON by its first character, but not to its end.
    #[error("this is no JSON: {0}")]
    NotJson(#[source] serde_json::Error),
    /// The text in the picture is damaged.
    #[error("the {document} in this {kind} is no JSON: {source}")]
    DocumentNotJson {
        /// The file.
        kind: Kind,
        /// Which of the two.
        document: Document,
        /// Where it goes wrong.
        source: serde_json::Error,
    },
    /// The text in the picture is JSON, but no object.
    #[error("the {document} in this {kind} is no object: something else than ComfyUI wrote it")]
    DocumentNotObject {
        /// The file.
        kind: Kind,
        /// Which of the two.
        document: Document,
    },
    /// The compressed text in the picture is damaged.
    #[error("the compressed {document} in this {kind} cannot be inflated: {source}")]
    Compression {
        /// The file.
        kind: Kind,
        /// Which of the two.
        document: Document,
        /// What the decompressor met.
        source: std::io::Error,
    },
    /// The text in the picture is absurdly long.
    #[error("the {document} in this {kind} is longer than {DOCUMENT_BYTES_MAX} bytes")]
    TooLong {
        /// The file.
        kind: Kind,
        /// Which of the two.
        document: Document,
    },
}

/// Finds the documents in the bytes of a file: a PNG, a WebP, or JSON (a workflow, a prompt, a body of `POST /prompt`,
/// an entry of the history).
///
/// JSON is read as [`from_slice`](crate::from_slice) does. Of two documents in a picture, one that is damaged does not
/// cost the other.
///
/// ```
/// let saved = comfyui::saved::read(br#"{"1": {"class_type": "EmptyImage", "inputs": {"width": 64}}}"#)?;
/// assert!(saved.prompt.is_some() && saved.workflow.is_none());
/// # Ok::<(), comfyui::saved::SavedError>(())
/// ```
///
/// # Errors
/// When there is no document in it; the error says what the file is and what is wrong.
pub fn read(bytes: &[u8]) -> Result<Saved, SavedError> {
    if bytes.starts_with(&png::SIGNATURE) {
        return assemble(Kind::Png, png::texts(bytes));
    }
    if let Some(chunks) = webp::body(bytes) {
        return assemble(Kind::WebP, webp::texts(chunks));
    }
    json::read(bytes)
}

/// A document as it stands in a picture.
struct Text<'a> {
    document: Document,
    text: Result<Cow<'a, [u8]>, SavedError>,
}

/// Of several texts for one document the last counts, as in the web interface.
fn assemble<'a>(kind: Kind, texts: impl Iterator<Item = Text<'a>>) -> Result<Saved, SavedError> {
    let (mut saved, mut fault) = (Saved::default(), None);
    for Text { document, text } in texts.take(TEXTS_MAX) {
        match text.and_then(|text| parse(kind, document, &text)) {
            Ok(value) => *saved.slot(document) = Some(value),
            Err(error) => fault = Some(error),
        }
    }
    if saved == Saved::default() { Err(fault.unwrap_or(SavedError::Missing(kind))) } else { Ok(saved) }
}

fn parse(kind: Kind, document: Document, text: &[u8]) -> Result<Value, SavedError> {
    let value: Value = crate::from_slice(&as_utf8(text)).map_err(|source| SavedError::DocumentNotJson {
        kind,
        document,
        source,
    })?;
    if value.is_object() { Ok(value) } else { Err(SavedError::DocumentNotObject { kind, document }) }
}

/// PNG's plain texts are Latin-1 by its standard; what is valid UTF-8 was nevertheless meant as that.
fn as_utf8(text: &[u8]) -> Cow<'_, [u8]> {
    match std::str::from_utf8(text) {
        Ok(_) => Cow::Borrowed(text),
        Err(_) => Cow::Owned(text.iter().map(|byte| char::from(*byte)).collect::<String>().into_bytes()),
    }
}

impl Saved {
    fn slot(&mut self, document: Document) -> &mut Option<Value> {
        match document {
            Document::Workflow => &mut self.workflow,
            Document::Prompt => &mut self.prompt,
        }
    }
}

impl Document {
    /// By the keyword of a text; node packs write it with a capital.
    fn named(keyword: &[u8]) -> Option<Self> {
        let all = [(&b"workflow"[..], Self::Workflow), (b"prompt", Self::Prompt)];
        all.into_iter().find(|(name, _)| keyword.eq_ignore_ascii_case(name)).map(|(_, document)| document)
    }
}

impl fmt::Display for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Workflow => "workflow",
            Self::Prompt => "prompt",
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Png => "PNG",
            Self::WebP => "WebP",
        })
    }
}
