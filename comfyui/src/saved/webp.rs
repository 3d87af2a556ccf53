//! The texts of a WebP: the tags of its EXIF chunk. Walks the chunks and skips the pixels.

use std::iter;

use super::{Text, exif};

/// What follows the header of a WebP; `None` for another file.
pub(super) fn body(file: &[u8]) -> Option<&[u8]> {
    let (header, body) = file.split_first_chunk::<12>()?;
    (header.starts_with(b"RIFF") && header.ends_with(b"WEBP")).then_some(body)
}

pub(super) fn texts(body: &[u8]) -> impl Iterator<Item = Text<'_>> {
    chunks(body).filter(|(kind, _)| kind == b"EXIF").flat_map(|(_, data)| exif::texts(data))
}

/// (type, content) of each chunk: the type, a length of 4 bytes, the content filled up to an even length.
fn chunks(body: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    let mut rest = body;
    iter::from_fn(move || {
        let (kind, after) = rest.split_first_chunk()?;
        let (length, after) = after.split_first_chunk()?;
        let (data, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        rest = after.get(data.len() % 2..).unwrap_or_default();
        Some((*kind, data))
    })
}
