//! The prompts that are submitted. A seed or colour makes each a prompt of its own, which no cache knows.

use std::time::Duration;

use serde_json::{Value, json};

/// ComfyUI's default graph: seven nodes, about 0.8 kB. For submission; never executed here.
pub(crate) fn text_to_image(seed: usize) -> Value {
    let text =
        "a photograph of a red bicycle leaning against a wall of old bricks, early morning, long shadows";
    json!({
        "3": {"class_type": "KSampler", "inputs": {
            "seed": seed, "steps": 20, "cfg": 8.0, "sampler_name": "euler", "scheduler": "normal", "denoise": 1.0,
            "model": ["4", 0], "positive": ["6", 0], "negative": ["7", 0], "latent_image": ["5", 0],
        }},
        "4": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "sd15.safetensors"}},
        "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 512, "height": 512, "batch_size": 1}},
        "6": {"class_type": "CLIPTextEncode", "inputs": {"text": text, "clip": ["4", 1]}},
        "7": {"class_type": "CLIPTextEncode", "inputs": {"text": "text, watermark", "clip": ["4", 1]}},
        "8": {"class_type": "VAEDecode", "inputs": {"samples": ["3", 0], "vae": ["4", 2]}},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "bench", "images": ["8", 0]}},
    })
}

/// A picture of one pixel that takes a simulated server this long to make. The model is in memory from the first on.
pub(crate) fn pixel(seed: usize, took: Duration) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {
            "ckpt_name": "sd15.safetensors", "load_seconds": 0.0, "size_mb": 4000,
        }},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 1,
            "step_seconds": took.as_secs_f64(), "width": 1, "height": 1, "preview": false,
        }},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["2", 0]}},
    })
}

/// A job of so many steps, of each of which the node of this name tells; a step takes a simulated server a millisecond.
pub(crate) fn steps(seed: usize, node: &str, steps: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {
            "ckpt_name": "sd15.safetensors", "load_seconds": 0.0, "size_mb": 1,
        }},
        node: {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": steps,
            "step_seconds": 0.0, "width": 1, "height": 1, "preview": false,
        }},
        "3": {"class_type": "PreviewImage", "inputs": {"images": [node, 0]}},
    })
}

/// The body of `POST /prompt`.
pub(crate) fn body(prompt: &Value) -> String {
    json!({"prompt": prompt, "client_id": "bench"}).to_string()
}

/// The same of this client, and through a collector for this backend: jobs as short as these would rather wait for one
/// that has their model.
pub(crate) fn body_for(client: &str, backend: &str, prompt: &Value) -> String {
    let extra = json!({"orchestrator": {"backend": backend}});
    json!({"prompt": prompt, "client_id": client, "extra_data": extra}).to_string()
}
