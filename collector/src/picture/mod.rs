//! Pictures that clients uploaded, as ComfyUI would show them (`/view?preview=`, `channel=`) or put a mask into them
//! (`/upload/mask`). Bytes in, bytes out; decoding is bounded, and slow enough to be kept off the async threads.

mod mask;
mod rendition;

use std::io::Cursor;

use image::{DynamicImage, ImageReader, Rgba, RgbaImage};

pub use self::mask::masked;
pub use self::rendition::{Rendition, rendered};
use crate::limits;

#[derive(Debug, thiserror::Error)]
pub enum PictureError {
    #[error("{which} cannot be read as a PNG, JPEG or WebP picture: {reason}")]
    Unreadable { which: &'static str, reason: String },
    #[error(
        "the mask is {mask:?} pixels and the original {original:?}; draw the mask at the original's size"
    )]
    Sizes { mask: (u32, u32), original: (u32, u32) },
    #[error("the picture cannot be written: {0}")]
    Unwritable(String),
}

/// `which` names the picture in an error.
fn decoded(bytes: &[u8], which: &'static str) -> Result<DynamicImage, PictureError> {
    let unreadable = |reason: String| PictureError::Unreadable { which, reason };
    let mut reader = ImageReader::new(Cursor::new(bytes));
    let mut bounds = image::Limits::default();
    bounds.max_alloc = Some(limits::PICTURE_BYTES);
    reader.limits(bounds);
    let reader = reader.with_guessed_format().map_err(|e| unreadable(e.to_string()))?;
    reader.decode().map_err(|e| unreadable(e.to_string()))
}

/// Eight bits a channel, as Pillow makes them of sixteen: the upper eight count, but grey alone is cut off at 255.
fn rgba(picture: DynamicImage) -> RgbaImage {
    use DynamicImage::{ImageLuma16, ImageLumaA16, ImageRgb16, ImageRgba16};
    match picture {
        ImageLuma16(grey) => RgbaImage::from_fn(grey.width(), grey.height(), |x, y| {
            let [value] = grey.get_pixel(x, y).0;
            let value = u8::try_from(value).unwrap_or(u8::MAX);
            Rgba([value, value, value, u8::MAX])
        }),
        ImageLumaA16(_) | ImageRgb16(_) | ImageRgba16(_) => {
            let deep = picture.into_rgba16();
            let (width, height) = deep.dimensions();
            let upper = deep.into_raw().into_iter().map(|value| value.to_be_bytes()[0]).collect();
            RgbaImage::from_raw(width, height, upper).unwrap_or_default()
        }
        _ => picture.into_rgba8(),
    }
}
