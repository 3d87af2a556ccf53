//! A mask put into its original, as ComfyUI's `/upload/mask` does it: the original's colours with the mask's alpha, as
//! a PNG that keeps the original's texts (among them the workflow that made it).

use std::io::Cursor;

use image::RgbaImage;
use png::text_metadata::ITXtChunk;

use super::{PictureError, decoded, rgba};
use crate::limits;

/// The PNG to be stored. An original without texts, or that is no PNG, gives one without.
///
/// # Errors
/// When either is no picture, or they differ in size.
pub fn masked(original: &[u8], mask: &[u8]) -> Result<Vec<u8>, PictureError> {
    let mut picture = rgba(decoded(original, "the original")?);
    let mask = rgba(decoded(mask, "the mask")?);
    if mask.dimensions() != picture.dimensions() {
        return Err(PictureError::Sizes { mask: mask.dimensions(), original: picture.dimensions() });
    }
    for (pixel, masked) in picture.pixels_mut().zip(mask.pixels()) {
        let ([red, green, blue, _], [.., alpha]) = (pixel.0, masked.0);
        pixel.0 = [red, green, blue, alpha];
    }
    encoded(&picture, &texts_of(original)).map_err(|e| PictureError::Unwritable(e.to_string()))
}

/// What a PNG carries besides its pixels.
#[derive(Default)]
struct Texts {
    /// Keyword and text; what was compressed no longer is.
    latin1: Vec<(String, String)>,
    utf8: Vec<ITXtChunk>,
}

fn texts_of(original: &[u8]) -> Texts {
    let decoder = png::Decoder::new_with_limits(Cursor::new(original), png::Limits { bytes: PNG_BYTES });
    let Ok(mut reader) = decoder.read_info() else { return Texts::default() };
    // Texts may stand behind the pixels; where those end badly, the ones before count.
    drop(reader.finish());
    let info = reader.info();
    let plain = info.uncompressed_latin1_text.iter().map(|text| (text.keyword.clone(), text.text.clone()));
    let compressed = info.compressed_latin1_text.iter().filter_map(|text| {
        let mut open = text.clone();
        open.decompress_text_with_limit(limits::PICTURE_TEXT_BYTES).ok()?;
        Some((text.keyword.clone(), open.get_text().ok()?))
    });
    let utf8 = info.utf8_text.iter().filter_map(|text| {
        let mut open = text.clone();
        open.decompress_text_with_limit(limits::PICTURE_TEXT_BYTES).ok()?;
        open.compressed = false;
        Some(open)
    });
    Texts { latin1: plain.chain(compressed).collect(), utf8: utf8.collect() }
}

/// Text chunks may be as long as an upload.
const PNG_BYTES: usize = limits::BODY_BYTES;

fn encoded(picture: &RgbaImage, texts: &Texts) -> Result<Vec<u8>, png::EncodingError> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width(), picture.height());
    encoder.set_color(png::ColorType::Rgba);
    encoder.set_depth(png::BitDepth::Eight);
    for (keyword, text) in &texts.latin1 {
        encoder.add_text_chunk(keyword.clone(), text.clone())?;
    }
    let mut writer = encoder.write_header()?;
    for text in &texts.utf8 {
        writer.write_text_chunk(text)?;
    }
    writer.write_image_data(picture.as_raw())?;
    writer.finish()?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use image::{DynamicImage, ImageFormat, Luma, Rgb, RgbImage, Rgba};

    use super::*;

    fn bytes(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    }

    fn original() -> RgbImage {
        RgbImage::from_fn(4, 3, |x, y| Rgb([x as u8 * 60, y as u8 * 80, 7]))
    }

    fn mask() -> RgbaImage {
        RgbaImage::from_fn(4, 3, |x, y| Rgba([200, 1, 2, (x * 10 + y) as u8]))
    }

    fn composed(original: &[u8]) -> RgbaImage {
        let mask = bytes(&DynamicImage::ImageRgba8(mask()), ImageFormat::Png);
        image::load_from_memory(&masked(original, &mask).unwrap()).unwrap().into_rgba8()
    }

    fn expected() -> RgbaImage {
        let original = original();
        RgbaImage::from_fn(4, 3, |x, y| {
            let (Rgb([r, g, b]), Rgba([.., a])) = (*original.get_pixel(x, y), *mask().get_pixel(x, y));
            Rgba([r, g, b, a])
        })
    }

    #[test]
    fn colours_are_the_originals_and_alpha_is_the_masks() {
        let original = DynamicImage::ImageRgb8(original());
        for format in [ImageFormat::Png, ImageFormat::WebP] {
            assert_eq!(composed(&bytes(&original, format)), expected(), "{format:?}");
        }
    }

    #[test]
    fn sixteen_bits_become_eight_as_in_pillow() {
        let grey = image::ImageBuffer::from_fn(4, 3, |x, _| Luma([254_u16 + x as u16]));
        let picture = composed(&bytes(&DynamicImage::ImageLuma16(grey), ImageFormat::Png));
        assert_eq!([0, 1, 2].map(|x| picture.get_pixel(x, 0).0[0]), [254, 255, 255]);
        let deep = image::ImageBuffer::from_fn(4, 3, |x, _| Rgb([0x80ff_u16, 0x01fe, x as u16 * 256 + 255]));
        let picture = composed(&bytes(&DynamicImage::ImageRgb16(deep), ImageFormat::Png));
        assert_eq!(picture.get_pixel(2, 0).0[..3], [0x80, 0x01, 2]);
    }

    #[test]
    fn the_texts_of_the_original_are_kept_each_as_it_was() {
        let mut original = Vec::new();
        let mut encoder = png::Encoder::new(&mut original, 4, 3);
        encoder.set_color(png::ColorType::Grayscale);
        encoder.add_text_chunk("prompt".into(), "{\"1\": {}}".into()).unwrap();
        encoder.add_ztxt_chunk("workflow".into(), "{\"nodes\": []}".into()).unwrap();
        encoder.add_itxt_chunk("title".into(), "Überschrift 图".into()).unwrap();
        let mut writer = encoder.write_header().unwrap();
        writer.write_image_data(&[9; 12]).unwrap();
        writer.finish().unwrap();
        let mask = bytes(&DynamicImage::ImageRgba8(mask()), ImageFormat::Png);
        let made = masked(&original, &mask).unwrap();
        let texts = texts_of(&made);
        let latin1 = [("prompt", "{\"1\": {}}"), ("workflow", "{\"nodes\": []}")];
        assert_eq!(texts.latin1, latin1.map(|(keyword, text)| (keyword.to_owned(), text.to_owned())));
        assert_eq!(texts.utf8[0].get_text().unwrap(), "Überschrift 图");
    }

    #[test]
    fn what_is_no_picture_or_of_another_size_is_refused() {
        let mask = bytes(&DynamicImage::ImageRgba8(mask()), ImageFormat::Png);
        assert!(matches!(
            masked(b"text", &mask),
            Err(PictureError::Unreadable { which: "the original", .. })
        ));
        let grey = image::GrayImage::from_pixel(5, 5, Luma([1]));
        let other = bytes(&DynamicImage::ImageLuma8(grey), ImageFormat::Png);
        assert!(matches!(masked(&mask, &other), Err(PictureError::Sizes { mask: (5, 5), .. })));
        assert!(matches!(masked(&mask, b""), Err(PictureError::Unreadable { which: "the mask", .. })));
    }

    #[test]
    fn a_small_file_that_says_it_is_a_huge_picture_is_refused() {
        let mut huge = Vec::new();
        let mut encoder = png::Encoder::new(&mut huge, 100_000, 100_000);
        encoder.set_color(png::ColorType::Rgba);
        drop(encoder.write_header().unwrap());
        assert!(masked(&huge, &huge).is_err());
    }
}
