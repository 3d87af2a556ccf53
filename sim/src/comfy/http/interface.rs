//! What the web interface asks besides: enough for a proxy of it to be tested, no interface.

use std::sync::Arc;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::answer::{self, empty, json};
use crate::comfy::process::Process;

pub(super) fn shared() -> Router<Arc<Process>> {
    Router::new()
        .route("/users", get(|| says(json!({"storage": "server", "migrated": false}))))
        .route("/settings", get(|| says(json!({}))))
        .route("/extensions", get(|| says(json!([]))))
        .route("/userdata", get(missing))
        .route("/userdata/{file}", get(missing))
        .route("/", get(page))
}

pub(super) fn newer() -> Router<Arc<Process>> {
    Router::new()
        .route("/i18n", get(|| says(json!({}))))
        .route("/global_subgraphs", get(|| says(json!({}))))
        .route("/workflow_templates", get(|| says(json!({}))))
        .route("/experiment/models", get(|| says(json!([]))))
}

/// Routes that do not exist under `/api`.
pub(super) fn apart() -> Router<Arc<Process>> {
    Router::new()
        .route("/user.css", get(answer::unknown))
        .route("/internal/folder_paths", get(|| says(json!({}))))
        .route("/materialdesignicons.min.css", get(css))
}

async fn says(document: Value) -> Response {
    json(&document)
}

async fn missing() -> Response {
    empty(StatusCode::NOT_FOUND)
}

async fn page() -> Html<&'static str> {
    Html("<!doctype html><title>ComfyUI</title><p>A simulated server.")
}

async fn css() -> Response {
    ([(header::CONTENT_TYPE, "text/css")], "").into_response()
}
