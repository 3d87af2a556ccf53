//! Reading what a command is given: a file or standard input, whole and bounded. Says nothing of what is in it.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use serde::de::DeserializeOwned;

use crate::limits;

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// The bytes of a file, and what to call it in messages.
pub(super) struct Document {
    pub(super) name: String,
    pub(super) bytes: Vec<u8>,
}

/// Why there is nothing to work on.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("cannot read {name}: {reason}")]
    Io { name: String, reason: io::Error },
    #[error("{name} is longer than {} MiB, which no document of ComfyUI is", limits::COMMAND_INPUT_BYTES >> 20)]
    TooLong { name: String },
    #[error("{name} is empty")]
    Empty { name: String },
}

impl Document {
    /// Reads a file; `-` is standard input.
    pub(super) fn read(path: &Path) -> Result<Self, ReadError> {
        if is_stdin(path) {
            return Self::from_reader("standard input".to_owned(), io::stdin().lock());
        }
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::from_reader(name, file),
            Err(reason) => Err(ReadError::Io { name, reason }),
        }
    }

    fn from_reader(name: String, reader: impl Read) -> Result<Self, ReadError> {
        let mut bytes = Vec::new();
        // One byte more shows that there is too much.
        if let Err(reason) = reader.take(limits::COMMAND_INPUT_BYTES + 1).read_to_end(&mut bytes) {
            return Err(ReadError::Io { name, reason });
        }
        match bytes.len() as u64 {
            0 => Err(ReadError::Empty { name }),
            length if length > limits::COMMAND_INPUT_BYTES => Err(ReadError::TooLong { name }),
            _ => Ok(Self { name, bytes }),
        }
    }

    /// What it holds as JSON. Editors begin a file with a mark that is no part of it.
    pub(super) fn json<T: DeserializeOwned>(&self) -> serde_json::Result<T> {
        comfyui::from_slice(self.bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(&self.bytes))
    }
}

fn is_stdin(path: &Path) -> bool {
    path == Path::new("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_without_end_is_refused_at_the_bound() {
        let refused = Document::from_reader("it".to_owned(), io::repeat(b' ')).err().unwrap();
        assert_eq!(refused.to_string(), "it is longer than 64 MiB, which no document of ComfyUI is");
        let largest = io::repeat(b' ').take(limits::COMMAND_INPUT_BYTES);
        assert!(Document::from_reader("it".to_owned(), largest).is_ok());
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_json() {
        let document = Document { name: String::new(), bytes: b"\xef\xbb\xbf[NaN]".to_vec() };
        assert_eq!(document.json::<serde_json::Value>().unwrap(), serde_json::json!([null]));
    }
}
