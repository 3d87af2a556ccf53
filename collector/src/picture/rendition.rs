//! A picture as `/view` shows it on demand: smaller in bytes (`preview`), or a part of its channels (`channel`).

use std::io::Cursor;

use image::codecs::jpeg::JpegEncoder;
use image::{DynamicImage, ImageFormat, Rgba, RgbaImage};

use super::{PictureError, decoded, rgba};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rendition {
    Jpeg {
        quality: u8,
    },
    /// Without loss, whatever quality is asked for.
    WebP {
        with_alpha: bool,
    },
    /// PNG of the colours.
    Colours,
    /// PNG, black where the picture is, with its alpha.
    Alpha,
}

impl Rendition {
    /// By ComfyUI's reading of the two parameters: `webp;90`, `jpeg;75`, `jpeg`; `rgb`, `a`, `rgba`. `None`: the file as
    /// it is.
    pub fn asked(preview: Option<&str>, channel: Option<&str>) -> Option<Self> {
        let Some(preview) = preview else {
            return match channel {
                Some("rgb") => Some(Self::Colours),
                Some("a") => Some(Self::Alpha),
                _ => None,
            };
        };
        let channel = channel.unwrap_or_default();
        let is_jpeg = preview.split(';').next() == Some("jpeg") && !channel.contains('a');
        Some(match is_jpeg {
            true => Self::Jpeg { quality: quality(preview) },
            false => Self::WebP { with_alpha: channel != "rgb" },
        })
    }

    pub fn content_type(self) -> &'static str {
        match self {
            Self::Jpeg { .. } => "image/jpeg",
            Self::WebP { .. } => "image/webp",
            Self::Colours | Self::Alpha => "image/png",
        }
    }
}

/// ComfyUI's default where the last part is no number.
fn quality(preview: &str) -> u8 {
    const DEFAULT: u8 = 90;
    let last = preview.rsplit(';').next().unwrap_or_default();
    let digits = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    if digits { last.parse().unwrap_or(100).clamp(1, 100) } else { DEFAULT }
}

/// # Errors
/// When it is no picture.
pub fn rendered(picture: &[u8], rendition: Rendition) -> Result<Vec<u8>, PictureError> {
    let picture = decoded(picture, "the file")?;
    let has_alpha = picture.color().has_alpha();
    let picture = rgba(picture);
    let colours = |picture: RgbaImage| DynamicImage::ImageRgba8(picture).into_rgb8().into();
    match rendition {
        Rendition::Jpeg { quality } => jpeg(&colours(picture), quality),
        Rendition::WebP { with_alpha } if with_alpha && has_alpha => {
            written(&DynamicImage::ImageRgba8(picture), ImageFormat::WebP)
        }
        Rendition::WebP { .. } => written(&colours(picture), ImageFormat::WebP),
        Rendition::Colours => written(&colours(picture), ImageFormat::Png),
        Rendition::Alpha => written(&alpha(picture).into(), ImageFormat::Png),
    }
}

fn alpha(mut picture: RgbaImage) -> RgbaImage {
    for Rgba([red, green, blue, _]) in picture.pixels_mut() {
        (*red, *green, *blue) = (0, 0, 0);
    }
    picture
}

fn jpeg(picture: &DynamicImage, quality: u8) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Vec::new();
    let written = picture.write_with_encoder(JpegEncoder::new_with_quality(&mut bytes, quality));
    written.map(|()| bytes).map_err(|e| PictureError::Unwritable(e.to_string()))
}

fn written(picture: &DynamicImage, format: ImageFormat) -> Result<Vec<u8>, PictureError> {
    let mut bytes = Cursor::new(Vec::new());
    let written = picture.write_to(&mut bytes, format);
    written.map(|()| bytes.into_inner()).map_err(|e| PictureError::Unwritable(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parameters_mean_what_they_mean_to_comfyui() {
        let webp = |with_alpha| Some(Rendition::WebP { with_alpha });
        let jpeg = |quality| Some(Rendition::Jpeg { quality });
        for (preview, channel, expected) in [
            (None, None, None),
            (None, Some("rgba"), None),
            (None, Some("nonsense"), None),
            (None, Some("rgb"), Some(Rendition::Colours)),
            (None, Some("a"), Some(Rendition::Alpha)),
            (Some("webp;90"), None, webp(true)),
            (Some("webp"), Some("rgb"), webp(false)),
            (Some("avif;90"), None, webp(true)),
            (Some(""), None, webp(true)),
            (Some("jpeg"), None, jpeg(90)),
            (Some("jpeg;75"), Some("rgb"), jpeg(75)),
            (Some("jpeg;0"), None, jpeg(1)),
            (Some("jpeg;1000"), None, jpeg(100)),
            (Some("jpeg;75"), Some("rgba"), webp(true)),
        ] {
            assert_eq!(Rendition::asked(preview, channel), expected, "{preview:?} {channel:?}");
        }
    }

    #[test]
    fn every_rendition_is_a_picture_of_its_kind() {
        let picture = RgbaImage::from_fn(3, 2, |x, y| Rgba([x as u8, y as u8, 3, 40 + x as u8]));
        let bytes = written(&DynamicImage::ImageRgba8(picture.clone()), ImageFormat::Png).unwrap();
        let seen = |rendition: Rendition| {
            let bytes = rendered(&bytes, rendition).unwrap();
            let format = image::guess_format(&bytes).unwrap();
            assert_eq!(format.to_mime_type(), rendition.content_type());
            image::load_from_memory(&bytes).unwrap()
        };
        assert_eq!(seen(Rendition::WebP { with_alpha: true }).into_rgba8(), picture);
        assert_eq!(seen(Rendition::Colours).into_rgba8().get_pixel(2, 1).0, [2, 1, 3, 255]);
        assert_eq!(seen(Rendition::Alpha).into_rgba8().get_pixel(2, 1).0, [0, 0, 0, 42]);
        assert!(!seen(Rendition::WebP { with_alpha: false }).color().has_alpha());
        assert!(!seen(Rendition::Jpeg { quality: 80 }).color().has_alpha());
        assert!(rendered(b"no picture", Rendition::Colours).is_err());
    }
}
