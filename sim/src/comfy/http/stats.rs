//! What a server says of itself and its machine: `/system_stats`, `/features`, the old Python node's figures.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde_json::{Value, json};

use super::MAX_UPLOAD_BYTES;
use super::answer::json;
use crate::agent::Figures;
use crate::comfy::config::ComfyConfig;
use crate::comfy::process::Process;
use crate::lock::locked;

const RAM_USED_BYTES: u64 = 1_550_970_880;
const PYTHON: &str = "3.11.7 (main, May  9 2026, 07:35:25) [GCC 12.2.0]";

pub(super) async fn system_stats(State(process): State<Arc<Process>>) -> Response {
    let system =
        if process.generation().is_current() { newer_system(&process.rig.config) } else { older_system() };
    json(&json!({"system": system, "devices": [device(&process)]}))
}

fn older_system() -> Value {
    json!({"os": "posix", "python_version": PYTHON, "embedded_python": false})
}

fn newer_system(config: &ComfyConfig) -> Value {
    let arguments = std::iter::once("main.py").chain(config.arguments.iter().map(String::as_str));
    json!({
        "os": "linux",
        "ram_total": config.ram_bytes,
        "ram_free": config.ram_bytes.saturating_sub(RAM_USED_BYTES),
        "comfyui_version": "0.8.0",
        "required_frontend_version": "1.35.9",
        "installed_templates_version": "0.7.67",
        "required_templates_version": "0.7.67",
        "python_version": PYTHON,
        "pytorch_version": "2.15.0+cu132",
        "embedded_python": false,
        "argv": arguments.collect::<Vec<_>>(),
    })
}

fn device(process: &Process) -> Value {
    let config = &process.rig.config;
    let is_cpu = config.device_name == "cpu";
    let (kind, index) = if is_cpu { ("cpu", Value::Null) } else { ("cuda", json!(0)) };
    let used_bytes = locked(&process.models).used_mb() << 20;
    let free_bytes = config.vram_bytes.saturating_sub(used_bytes);
    let (torch_total, torch_free) = if is_cpu { (config.vram_bytes, free_bytes) } else { (used_bytes, 0) };
    json!({
        "name": config.device_name,
        "type": kind,
        "index": index,
        "vram_total": config.vram_bytes,
        "vram_free": free_bytes,
        "torch_vram_total": torch_total,
        "torch_vram_free": torch_free,
    })
}

/// The data of the `feature_flags` message too.
pub(super) fn feature_flags() -> Value {
    json!({
        "supports_preview_metadata": true,
        "max_upload_size": MAX_UPLOAD_BYTES,
        "extension": {"manager": {"supports_v4": true}},
    })
}

pub(super) async fn features() -> Response {
    json(&feature_flags())
}

pub(super) async fn node_metrics(State(process): State<Arc<Process>>) -> Response {
    let figures = Figures::default().beside(&process.rig);
    json(&figures.node_metrics())
}
