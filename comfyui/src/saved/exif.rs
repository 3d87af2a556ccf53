//! The texts in EXIF data: ASCII tags of the first directory that read `workflow:{...}` or `prompt:{...}`. ComfyUI puts
//! them into Make and Model (0x010F, 0x0110); as in its web interface, any tag will do.
//!
//! Everything is borrowed: a directory may name the same bytes 65,535 times, and a reader that copies each value (as the
//! crates for EXIF do) multiplies a small hostile file into gigabytes.

use std::borrow::Cow;

use super::{Document, Text};

const ASCII: u16 = 2;
const ENTRY_BYTES: usize = 12;
const KEYWORD_BYTES_MAX: usize = b"workflow".len();

pub(super) fn texts(data: &[u8]) -> impl Iterator<Item = Text<'_>> {
    // Some writers keep the marker that belongs to JPEG.
    let tiff = data.strip_prefix(b"Exif\0\0").unwrap_or(data);
    Tiff::open(tiff).into_iter().flat_map(Tiff::ascii_tags).filter_map(text)
}

/// Looks at the keyword alone first: most tags are others', and long ones cost nothing so.
fn text(tag: &[u8]) -> Option<Text<'_>> {
    let colon = tag.iter().take(KEYWORD_BYTES_MAX + 1).position(|byte| *byte == b':')?;
    let document = Document::named(tag.get(..colon)?)?;
    let text = tag.get(colon + 1..)?.split(|byte| *byte == 0).next()?;
    Some(Text { document, text: Ok(Cow::Borrowed(text)) })
}

/// TIFF: the byte order and the offset of the first directory, then directories of fixed entries that point to values.
#[derive(Clone, Copy)]
struct Tiff<'a> {
    data: &'a [u8],
    is_little_endian: bool,
}

impl<'a> Tiff<'a> {
    fn open(data: &'a [u8]) -> Option<Self> {
        let is_little_endian = match data.get(..4)? {
            b"II*\0" => true,
            b"MM\0*" => false,
            _ => return None,
        };
        Some(Self { data, is_little_endian })
    }

    fn ascii_tags(self) -> impl Iterator<Item = &'a [u8]> {
        let directory = self.u32_at(4).and_then(|offset| usize::try_from(offset).ok());
        let entries = directory.and_then(|at| Some((at.checked_add(2)?, self.u16_at(at)?)));
        let (first, count) = entries.unwrap_or_default();
        let count = usize::from(count).min(self.data.len() / ENTRY_BYTES);
        (0..count).filter_map(move |index| self.ascii(first.checked_add(index * ENTRY_BYTES)?))
    }

    /// An entry: tag, type, count, then the value itself if it fits into 4 bytes, else its offset.
    fn ascii(self, entry: usize) -> Option<&'a [u8]> {
        let length = usize::try_from(self.u32_at(entry.checked_add(4)?)?).ok()?;
        let value_at = entry.checked_add(8)?;
        let start = if length <= 4 { value_at } else { usize::try_from(self.u32_at(value_at)?).ok()? };
        let value = self.data.get(start..start.checked_add(length)?)?;
        let is_ascii = self.u16_at(entry.checked_add(2)?)? == ASCII;
        is_ascii.then_some(value)
    }

    fn u16_at(self, offset: usize) -> Option<u16> {
        let bytes = *self.data.get(offset..)?.first_chunk()?;
        Some(if self.is_little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    fn u32_at(self, offset: usize) -> Option<u32> {
        let bytes = *self.data.get(offset..)?.first_chunk()?;
        Some(if self.is_little_endian { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }
}
