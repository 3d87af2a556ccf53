//! The texts of a PNG. Walks the chunks and skips the pixels; needs neither a whole file nor right checksums.
//!
//! The `png` crate hands out no chunk that it does not know, and `SaveAnimatedPNG` writes such (`comf`, behind the
//! pixels).

use std::borrow::Cow;
use std::io::Read;
use std::iter;

use flate2::read::ZlibDecoder;

use super::{DOCUMENT_BYTES_MAX, Document, Kind, SavedError, Text};

pub(super) const SIGNATURE: [u8; 8] = *b"\x89PNG\r\n\x1a\n";

pub(super) fn texts(file: &[u8]) -> impl Iterator<Item = Text<'_>> {
    chunks(file).filter_map(|(kind, data)| match &kind {
        b"tEXt" | b"comf" => plain(data),
        b"zTXt" => compressed(data),
        b"iTXt" => international(data),
        _ => None,
    })
}

/// (type, content) of each chunk: a length of 4 bytes, the type, the content, a checksum.
fn chunks(file: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = file.get(SIGNATURE.len()..).unwrap_or_default();
    iter::from_fn(move || {
        let (length, after) = rest.split_first_chunk()?;
        let (kind, after) = after.split_first_chunk()?;
        let (data, after) = after.split_at_checked(u32::from_be_bytes(*length) as usize)?;
        rest = after.get(4..).unwrap_or_default();
        Some((*kind, data))
    })
}

fn plain(data: &[u8]) -> Option<Text<'_>> {
    let (keyword, text) = split_at_zero(data)?;
    Some(Text { document: Document::named(keyword)?, text: Ok(Cow::Borrowed(text)) })
}

fn compressed(data: &[u8]) -> Option<Text<'_>> {
    let (keyword, rest) = split_at_zero(data)?;
    let document = Document::named(keyword)?;
    let (_method, text) = rest.split_first()?;
    Some(Text { document, text: inflate(document, text) })
}

/// Keyword, flag of compression, its method, language, translated keyword, text.
fn international(data: &[u8]) -> Option<Text<'_>> {
    let (keyword, rest) = split_at_zero(data)?;
    let document = Document::named(keyword)?;
    let ([flag, _method], rest) = rest.split_first_chunk()?;
    let (_language, rest) = split_at_zero(rest)?;
    let (_translated, text) = split_at_zero(rest)?;
    let text = if *flag == 0 { Ok(Cow::Borrowed(text)) } else { inflate(document, text) };
    Some(Text { document, text })
}

fn inflate(document: Document, text: &[u8]) -> Result<Cow<'_, [u8]>, SavedError> {
    let mut inflated = Vec::new();
    let read = ZlibDecoder::new(text).take(DOCUMENT_BYTES_MAX + 1).read_to_end(&mut inflated);
    let length = read.map_err(|source| SavedError::Compression { kind: Kind::Png, document, source })?;
    if length as u64 > DOCUMENT_BYTES_MAX {
        return Err(SavedError::TooLong { kind: Kind::Png, document });
    }
    Ok(Cow::Owned(inflated))
}

fn split_at_zero(data: &[u8]) -> Option<(&[u8], &[u8])> {
    let (head, tail) = data.split_at_checked(data.iter().position(|byte| *byte == 0)?)?;
    Some((head, tail.get(1..)?))
}
