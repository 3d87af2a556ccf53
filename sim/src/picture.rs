//! The pictures that simulated nodes make, and their encodings.
//!
//! A test computes what it must get back with the same functions. Knows nothing of servers and files.

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageError, ImageFormat, Rgb, RgbImage};
use serde_json::Value;

/// The longest side of a preview, in pixels.
const PREVIEW_SIDE: u32 = 256;
const JPEG_QUALITY: u8 = 95;
const SIGNATURE_AND_HEADER_BYTES: usize = 33;

/// What `SimSampler` and `KSampler` make of a seed: a colour of its own, brighter to the right and the bottom.
pub fn sampled(seed: u64, width: u32, height: u32) -> RgbImage {
    let [red, green, blue, ..] = scrambled(seed).to_le_bytes();
    RgbImage::from_fn(width, height, |x, y| {
        let (right, down) = (share(x, width), share(y, height));
        Rgb([red / 2 + right, green / 2 + down, blue / 2 + right / 2 + down / 2])
    })
}

/// What `EmptyImage` makes: one colour, `0xRRGGBB`.
pub fn plain(width: u32, height: u32, color: u32) -> RgbImage {
    let [_, red, green, blue] = color.to_be_bytes();
    RgbImage::from_pixel(width, height, Rgb([red, green, blue]))
}

/// SplitMix64: neighbouring seeds give colours that differ.
fn scrambled(seed: u64) -> u64 {
    let mixed = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}

/// From 0 to 127 along a side.
fn share(at: u32, side: u32) -> u8 {
    u8::try_from(u64::from(at) * 127 / u64::from(side.max(1))).unwrap_or(127)
}

/// The preview of a picture while it is being made, as JPEG: greyed by what is missing.
pub(crate) fn preview(seed: u64, width: u32, height: u32) -> Result<Vec<u8>, ImageError> {
    let longest = width.max(height).max(1);
    let shrunk =
        |side: u32| if longest > PREVIEW_SIDE { (side * PREVIEW_SIDE / longest).max(1) } else { side };
    jpeg(&sampled(seed, shrunk(width), shrunk(height)))
}

fn jpeg(picture: &RgbImage) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Vec::new();
    picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, JPEG_QUALITY))?;
    Ok(bytes)
}

/// A picture in the given format.
pub(crate) fn encoded(picture: &DynamicImage, format: ImageFormat) -> Result<Vec<u8>, ImageError> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format)?;
    Ok(bytes.into_inner())
}

/// A PNG with text chunks, as ComfyUI saves prompt and workflow in its pictures.
pub(crate) fn png(picture: &RgbImage, texts: &[(&str, &Value)]) -> Result<Vec<u8>, ImageError> {
    let plain = encoded(&DynamicImage::ImageRgb8(picture.clone()), ImageFormat::Png)?;
    let texts = texts.iter().map(|(keyword, value)| text_chunk(keyword, &ascii(&value.to_string())));
    Ok(with_chunks(&plain, &texts.collect::<Vec<_>>().concat()))
}

/// A PNG with more chunks behind its header.
pub(crate) fn with_chunks(png: &[u8], chunks: &[u8]) -> Vec<u8> {
    let (header, rest) = png.split_at_checked(SIGNATURE_AND_HEADER_BYTES).unwrap_or((png, &[]));
    [header, chunks, rest].concat()
}

/// The text chunks of a PNG, as they stand there.
pub(crate) fn text_chunks(png: &[u8]) -> Vec<u8> {
    let (mut texts, mut rest) = (Vec::new(), png.get(SIGNATURE_AND_HEADER_BYTES..).unwrap_or_default());
    // Length, type, content, checksum.
    while let Some(length) = rest.first_chunk::<4>().map(|length| u32::from_be_bytes(*length) as usize) {
        let Some((chunk, after)) = rest.split_at_checked(length.saturating_add(12)) else { break };
        if chunk.get(4..8) == Some(b"tEXt") {
            texts.extend(chunk);
        }
        rest = after;
    }
    texts
}

fn text_chunk(keyword: &str, text: &str) -> Vec<u8> {
    let mut body = b"tEXt".to_vec();
    body.extend(keyword.as_bytes());
    body.push(0);
    body.extend(text.as_bytes());
    let length = u32::try_from(body.len() - 4).unwrap_or(u32::MAX);
    let check = checksum(&body);
    [length.to_be_bytes().as_slice(), &body, &check.to_be_bytes()].concat()
}

/// JSON with every character beyond ASCII as `\uXXXX`, as Python writes it.
fn ascii(json: &str) -> String {
    let mut text = String::with_capacity(json.len());
    for character in json.chars() {
        if character.is_ascii() {
            text.push(character);
        } else {
            let units = &mut [0; 2];
            text.extend(character.encode_utf16(units).iter().map(|unit| format!("\\u{unit:04x}")));
        }
    }
    text
}

/// CRC-32 as PNG has it (ISO 3309).
pub(crate) fn checksum(bytes: &[u8]) -> u32 {
    crc32fast::hash(bytes)
}

/// How a picture looks where an error document prints what a node was given.
pub(crate) fn tensor(picture: &RgbImage) -> String {
    let channel = |value: u8| format!("{:.4}", f64::from(value) / 255.0);
    let pixel = picture.pixels().next().map_or([0; 3], |pixel| pixel.0).map(channel).join(", ");
    format!("tensor([[[[{pixel}],\n          ...,\n          [{pixel}]]]])")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_seed_always_makes_the_same_picture_and_another_seed_another() {
        assert_eq!(sampled(7, 8, 4), sampled(7, 8, 4));
        assert_ne!(sampled(7, 8, 4), sampled(8, 8, 4));
    }

    #[test]
    fn a_saved_picture_comes_back_pixel_by_pixel_and_carries_its_prompt() {
        let picture = sampled(1, 5, 3);
        let bytes = png(&picture, &[("prompt", &json!({"1": "ü"}))]).unwrap();
        assert_eq!(image::load_from_memory(&bytes).unwrap().to_rgb8(), picture);
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("tEXtprompt\0{\"1\":\"\\u00fc\"}"), "{text}");
        let plain = encoded(&DynamicImage::ImageRgb8(picture), ImageFormat::Png).unwrap();
        assert_eq!(with_chunks(&plain, &text_chunks(&bytes)), bytes);
    }

    #[test]
    fn a_damaged_text_chunk_would_be_noticed() {
        assert_eq!(checksum(b"123456789"), 0xCBF4_3926);
    }

    #[test]
    fn an_empty_image_has_the_given_colour() {
        assert_eq!(plain(2, 2, 0x01_02_03).get_pixel(1, 1).0, [1, 2, 3]);
    }
}
