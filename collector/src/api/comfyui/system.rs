//! `/system_stats`: one device a backend's GPU, its name led by the backend's. The system is that of the first backend
//! that is up, as a client that asks for one expects one. `/features`: what this collector can do.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::{Map, Value, json};

use super::App;
use crate::fleet::Backend;

pub(super) async fn stats(State(app): State<Arc<App>>) -> Json<Value> {
    let fleet = app.fleet();
    let documents: Vec<(&Backend, Value)> =
        fleet.backends.iter().filter_map(|b| Some((b.as_ref(), json!(b.stats.as_ref()?.value)))).collect();
    let first = documents.first().and_then(|(_, document)| document.get("system")?.as_object().cloned());
    let mut system: Map<String, Value> = first.unwrap_or_default();
    system.insert("orchestrator_version".to_owned(), json!(env!("CARGO_PKG_VERSION")));
    let devices: Vec<Value> =
        documents.iter().flat_map(|(backend, document)| devices(backend, document)).collect();
    Json(json!({ "system": system, "devices": devices }))
}

fn devices(backend: &Backend, document: &Value) -> Vec<Value> {
    let mut devices = document.get("devices").and_then(Value::as_array).cloned().unwrap_or_default();
    for device in &mut devices {
        if let Some(Value::String(name)) = device.get_mut("name") {
            *name = format!("{}: {name}", backend.id);
        }
    }
    devices
}

pub(super) async fn features(State(app): State<Arc<App>>) -> Json<Value> {
    Json(json!({ "supports_preview_metadata": true, "max_upload_size": app.max_body_bytes }))
}
