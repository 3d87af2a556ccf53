//! The prompts that the scenarios submit, and the pictures that must come of them.

use std::io::Cursor;

use anyhow::{Result, ensure};
use image::{ImageFormat, Rgb, RgbImage, RgbaImage};
use serde_json::{Value, json};

/// JPEG is not exact, nor is another size.
const PREVIEW_TOLERANCE: u8 = 8;
/// Of the pictures that SimSampler paints here, in pixels.
const SIDE: u32 = 64;

/// A job like a diffusion job: loads a model, takes steps with previews, saves a picture that tells its seed.
pub(crate) struct Diffusion {
    pub(crate) model: &'static str,
    pub(crate) load_seconds: f64,
    pub(crate) seed: u64,
    pub(crate) steps: u32,
    pub(crate) step_seconds: f64,
    pub(crate) prefix: &'static str,
}

impl Default for Diffusion {
    fn default() -> Self {
        Self {
            model: "sd15.safetensors",
            load_seconds: 0.2,
            seed: 0,
            steps: 4,
            step_seconds: 0.05,
            prefix: "diffusion",
        }
    }
}

impl Diffusion {
    /// Node 1 loads, 2 samples, 9 saves.
    pub(crate) fn prompt(&self) -> Value {
        json!({
            "1": {"class_type": "SimLoader", "inputs": {
                "ckpt_name": self.model, "load_seconds": self.load_seconds, "size_mb": 4000,
            }},
            "2": {"class_type": "SimSampler", "inputs": {
                "model": ["1", 0], "seed": self.seed, "steps": self.steps, "step_seconds": self.step_seconds,
                "width": SIDE, "height": SIDE, "preview": true,
            }},
            "9": save("2", self.prefix),
        })
    }

    /// As [`Diffusion::prompt`], but node 5 fails before node 9 saves.
    pub(crate) fn failing_prompt(&self, kind: &str) -> Value {
        let mut prompt = self.prompt();
        prompt["5"] = json!({"class_type": "SimFail", "inputs": {"image": ["2", 0], "kind": kind}});
        prompt["9"] = save("5", self.prefix);
        prompt
    }
}

/// What SimSampler paints of a seed.
pub(crate) fn picture_of(seed: u64) -> RgbImage {
    sim::picture::sampled(seed, SIDE, SIDE)
}

/// That a preview shows what SimSampler paints, in whatever size: servers make small ones larger.
pub(crate) fn ensure_preview(preview: &RgbImage, seed: u64) -> Result<()> {
    let (width, height) = preview.dimensions();
    ensure_same(preview, &sim::picture::sampled(seed, width, height), PREVIEW_TOLERANCE)
}

/// Pictures of one colour without any model.
pub(crate) fn plain_pictures(colour: Rgb<u8>, batch: u32, prefix: &str) -> Value {
    let [red, green, blue] = colour.0.map(u32::from);
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {
            "width": 48, "height": 32, "batch_size": batch, "color": red << 16 | green << 8 | blue,
        }},
        "9": save("1", prefix),
    })
}

/// Loads an uploaded picture and saves it again.
pub(crate) fn copy_of(uploaded: &str, prefix: &str) -> Value {
    json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": uploaded}},
        "9": save("1", prefix),
    })
}

fn save(from: &str, prefix: &str) -> Value {
    json!({"class_type": "SaveImage", "inputs": {"images": [from, 0], "filename_prefix": prefix}})
}

/// A picture with every pixel its own.
pub(crate) fn gradient(salt: u8) -> RgbImage {
    let shade = |x: u32| u8::try_from(x * 7 % 256).unwrap_or_default();
    RgbImage::from_fn(24, 16, |x, y| Rgb([shade(x), shade(y), salt]))
}

pub(crate) fn png(picture: &RgbImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

pub(crate) fn rgba_png(picture: &RgbaImage) -> Result<Vec<u8>> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, ImageFormat::Png)?;
    Ok(bytes.into_inner())
}

/// Every pixel within `tolerance` of the wanted one. Saving may cost 1: ComfyUI cuts fractions off.
pub(crate) fn ensure_same(picture: &RgbImage, wanted: &RgbImage, tolerance: u8) -> Result<()> {
    ensure!(
        picture.dimensions() == wanted.dimensions(),
        "{:?}, not {:?}",
        picture.dimensions(),
        wanted.dimensions()
    );
    for (pixel, right) in picture.pixels().zip(wanted.pixels()) {
        let near = pixel.0.iter().zip(right.0).all(|(a, b)| a.abs_diff(b) <= tolerance);
        ensure!(near, "a pixel is {pixel:?}, not {right:?}");
    }
    Ok(())
}

/// Of one colour throughout.
pub(crate) fn ensure_plain(picture: &RgbImage, colour: Rgb<u8>, tolerance: u8) -> Result<()> {
    ensure_same(picture, &RgbImage::from_pixel(picture.width(), picture.height(), colour), tolerance)
}
