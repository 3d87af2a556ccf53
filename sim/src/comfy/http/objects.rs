//! Node classes and model files: `/object_info`, `/models`, `/embeddings`.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::json;

use super::answer::{empty, json};
use crate::comfy::process::Process;

const FOLDERS: [&str; 21] = [
    "checkpoints",
    "configs",
    "loras",
    "vae",
    "text_encoders",
    "diffusion_models",
    "clip_vision",
    "style_models",
    "embeddings",
    "diffusers",
    "vae_approx",
    "controlnet",
    "gligen",
    "upscale_models",
    "latent_upscale_models",
    "custom_nodes",
    "hypernetworks",
    "photomaker",
    "classifiers",
    "model_patches",
    "audio_encoders",
];

pub(super) async fn all(State(process): State<Arc<Process>>) -> Response {
    json(&process.rig.classes.all(&process.rig.disk.inputs()))
}

pub(super) async fn one(State(process): State<Arc<Process>>, Path(class): Path<String>) -> Response {
    json(&process.rig.classes.one(&class, &process.rig.disk.inputs()))
}

pub(super) async fn embeddings() -> Response {
    json(&json!([]))
}

pub(super) async fn folders() -> Response {
    json(&json!(FOLDERS))
}

pub(super) async fn models(State(process): State<Arc<Process>>, Path(folder): Path<String>) -> Response {
    let config = &process.rig.config;
    match folder.as_str() {
        "checkpoints" => json(&json!(config.checkpoints())),
        "loras" => json(&json!(config.loras)),
        folder if FOLDERS.contains(&folder) => json(&json!([])),
        _ => empty(StatusCode::NOT_FOUND),
    }
}
