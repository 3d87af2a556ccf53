//! Node classes and model files: `/object_info`, `/models`, `/embeddings`, `/view_metadata`.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::json;

use super::answer::{empty, json};
use crate::comfy::config::ComfyConfig;
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

pub(super) async fn embeddings(State(process): State<Arc<Process>>) -> Response {
    let files = &process.rig.config.embeddings;
    let stems = files.iter().map(|file| file.rsplit_once('.').map_or(file.as_str(), |(stem, _)| stem));
    json(&json!(stems.collect::<Vec<_>>()))
}

pub(super) async fn folders() -> Response {
    json(&json!(FOLDERS))
}

pub(super) async fn models(State(process): State<Arc<Process>>, Path(folder): Path<String>) -> Response {
    match files_in(&process.rig.config, &folder) {
        Some(files) => json(&json!(files)),
        None => empty(StatusCode::NOT_FOUND),
    }
}

fn files_in<'a>(config: &'a ComfyConfig, folder: &str) -> Option<&'a [String]> {
    match folder {
        "checkpoints" => Some(config.checkpoints()),
        "loras" => Some(&config.loras),
        "embeddings" => Some(&config.embeddings),
        folder => FOLDERS.contains(&folder).then_some(&[]),
    }
}

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    filename: String,
}

/// What a model file says of itself: here, its own name.
pub(super) async fn metadata(
    State(process): State<Arc<Process>>,
    Path(folder): Path<String>,
    Query(named): Query<Named>,
) -> Response {
    let files = files_in(&process.rig.config, &folder).unwrap_or_default();
    match named.filename.ends_with(".safetensors") && files.contains(&named.filename) {
        true => json(&json!({"modelspec.title": named.filename})),
        false => empty(StatusCode::NOT_FOUND),
    }
}
