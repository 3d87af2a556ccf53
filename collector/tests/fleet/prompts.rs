//! The prompts that these tests submit.

use serde_json::{Value, json};

pub(crate) const MODEL: &str = "sd15.safetensors";
pub(crate) const STEPS: u64 = 4;
pub(crate) const WIDTH: u32 = 16;
pub(crate) const HEIGHT: u32 = 8;

/// Load, sample with previews, save: node 9 shows the picture of the seed.
pub(crate) fn picture(seed: u64) -> Value {
    picture_of(MODEL, seed)
}

pub(crate) fn picture_of(model: &str, seed: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": model, "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": STEPS, "step_seconds": 0.0, "width": WIDTH, "height": HEIGHT,
            "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    })
}

/// What `picture` must give back.
pub(crate) fn expected(seed: u64) -> image::RgbImage {
    sim::picture::sampled(seed, WIDTH, HEIGHT)
}

/// Saves a plain picture of a colour: nothing in it counts as changed when it is submitted again.
pub(crate) fn plain(color: u32) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": color}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "plain"}},
    })
}

/// A node that raises: `value` or `oom`.
pub(crate) fn failing(kind: &str) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SimFail", "inputs": {"image": ["1", 0], "kind": kind}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    })
}

/// Loads an uploaded picture and saves it.
pub(crate) fn copy_of(name: &str) -> Value {
    json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": name}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "copy"}},
    })
}

/// Saves a picture that was passed through a node of another class.
pub(crate) fn through(class: &str) -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": 255}},
        "2": {"class_type": class, "inputs": {"image": ["1", 0]}},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    })
}
