//! What the web interface asks besides: enough for a proxy of it to be tested, no interface. And what must not pass through
//! such a proxy: a log, and the route of a custom node.

use std::sync::Arc;

use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};

use super::answer::{self, json};
use crate::comfy::process::Process;

/// The tag of every file.
const TAG: &str = "\"5eed\"";

pub(super) fn shared() -> Router<Arc<Process>> {
    Router::new().route("/extensions", get(|| says(json!(["/extensions/sim-pack/sim.js"]))))
}

pub(super) fn newer() -> Router<Arc<Process>> {
    Router::new()
        .route(
            "/i18n",
            get(|| says(json!({"en": {"nodeDefs": {"SimLoader": {"display_name": "Load (simulated)"}}}}))),
        )
        .route("/global_subgraphs", get(|| says(json!({}))))
        .route("/workflow_templates", get(|| says(json!({"sim-pack": ["first"]}))))
        .route("/experiment/models", get(|| says(json!([]))))
}

/// Routes that do not exist under `/api`.
pub(super) fn apart() -> Router<Arc<Process>> {
    Router::new()
        .route("/user.css", get(answer::unknown))
        .route("/internal/folder_paths", get(|| says(json!({}))))
        .route("/internal/logs", get(|| says(json!("a log"))))
        .route("/materialdesignicons.min.css", get(file))
        .route("/api/workflow_templates/sim-pack/{file}", get(|| says(json!({"nodes": []}))))
        .route("/templates/{file}", get(|| says(json!([]))))
}

/// The page, static files and a custom node's route: in every generation, and not under `/api`.
pub(super) fn everywhere() -> Router<Arc<Process>> {
    Router::new()
        .route("/", get(page))
        .route("/assets/{file}", get(named))
        .route("/extensions/sim-pack/{file}", get(named))
        .route("/manager/reboot", get(|| says(json!("rebooted"))))
}

async fn says(document: Value) -> Response {
    json(&document)
}

async fn page() -> Response {
    let page = Html("<!doctype html><title>ComfyUI</title><p>A simulated server.");
    ([(header::CACHE_CONTROL, "no-cache"), (header::SET_COOKIE, "sim=1")], page).into_response()
}

async fn named(Path(name): Path<String>, headers: HeaderMap) -> Response {
    if name.starts_with("no-such") { answer::unknown().await } else { file(headers).await }
}

async fn file(headers: HeaderMap) -> Response {
    let tag = [(header::ETAG, TAG), (header::CACHE_CONTROL, "no-cache")];
    if headers.get(header::IF_NONE_MATCH).is_some_and(|known| known == TAG) {
        return (StatusCode::NOT_MODIFIED, tag).into_response();
    }
    (tag, [(header::CONTENT_TYPE, "text/javascript")], "export {}\n").into_response()
}
