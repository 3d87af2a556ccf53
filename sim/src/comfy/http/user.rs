//! `/users`, `/settings` and `/userdata`, of a server with one user.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};

use super::answer::{empty, json, parsed, unknown};
use crate::comfy::process::Process;
use crate::comfy::user::{User, full_info};
use crate::lock::locked;

type Asked = Query<HashMap<String, String>>;

/// 2024 lists no files, deletes none and moves none.
pub(super) fn shared() -> Router<Arc<Process>> {
    Router::new()
        .route("/users", get(users))
        .route("/settings", get(settings).post(set_all))
        .route("/settings/{id}", get(setting).post(set_one))
}

pub(super) fn older() -> Router<Arc<Process>> {
    Router::new().route("/userdata", get(unknown)).route("/userdata/{file}", get(read).post(write))
}

pub(super) fn newer() -> Router<Arc<Process>> {
    Router::new()
        .route("/userdata", get(list))
        .route("/userdata/{file}", get(read).post(write).delete(remove))
        .route("/userdata/{file}/move/{to}", post(rename))
}

async fn users(State(process): State<Arc<Process>>) -> Response {
    json(&json!({"storage": "server", "migrated": user(&process).exists()}))
}

async fn settings(State(process): State<Arc<Process>>) -> Response {
    json(&Value::Object(user(&process).settings.clone()))
}

async fn setting(State(process): State<Arc<Process>>, Path(id): Path<String>) -> Response {
    json(user(&process).settings.get(&id).unwrap_or(&Value::Null))
}

async fn set_all(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    match parsed(&body) {
        Ok(Value::Object(settings)) => set(&process, settings),
        Ok(_) => super::answer::trouble(),
        Err(trouble) => *trouble,
    }
}

async fn set_one(State(process): State<Arc<Process>>, Path(id): Path<String>, body: Bytes) -> Response {
    match parsed(&body) {
        Ok(value) => set(&process, Map::from_iter([(id, value)])),
        Err(trouble) => *trouble,
    }
}

fn set(process: &Process, settings: Map<String, Value>) -> Response {
    user(process).settings.extend(settings);
    empty(StatusCode::OK)
}

async fn list(State(process): State<Arc<Process>>, Query(asked): Asked) -> Response {
    let is = |key: &str| asked.get(key).is_some_and(|value| value == "true");
    let Some(folder) = asked.get("dir").filter(|folder| !folder.is_empty()) else {
        return (StatusCode::BAD_REQUEST, "Directory not provided").into_response();
    };
    let Some(files) = user(&process).list(folder, is("recurse")) else {
        return (StatusCode::NOT_FOUND, "Directory not found").into_response();
    };
    let told =
        |(path, bytes): &(String, usize)| if is("full_info") { full_info(path, *bytes) } else { json!(path) };
    json(&files.iter().map(told).collect())
}

async fn read(State(process): State<Arc<Process>>, Path(file): Path<String>) -> Response {
    let Some(content) = user(&process).file(&file) else { return empty(StatusCode::NOT_FOUND) };
    let kind = match file.rsplit_once('.') {
        Some((_, "json")) => "application/json",
        Some((_, "css")) => "text/css",
        Some((_, "html")) => "text/html",
        _ => "application/octet-stream",
    };
    ([(header::CONTENT_TYPE, kind)], content).into_response()
}

async fn write(
    State(process): State<Arc<Process>>,
    Path(file): Path<String>,
    Query(asked): Asked,
    body: Bytes,
) -> Response {
    let mut user = user(&process);
    if keeps(&asked) && user.file(&file).is_some() {
        return (StatusCode::CONFLICT, "File already exists").into_response();
    }
    let bytes = body.len();
    user.write(&file, body);
    if process.generation().is_current() { json(&told(&asked, &file, bytes)) } else { empty(StatusCode::OK) }
}

async fn remove(State(process): State<Arc<Process>>, Path(file): Path<String>) -> Response {
    let removed = user(&process).remove(&file);
    empty(removed.map_or(StatusCode::NOT_FOUND, |_| StatusCode::NO_CONTENT))
}

async fn rename(
    State(process): State<Arc<Process>>,
    Path((file, to)): Path<(String, String)>,
    Query(asked): Asked,
) -> Response {
    let mut user = user(&process);
    if keeps(&asked) && user.file(&to).is_some() {
        return (StatusCode::CONFLICT, "File already exists").into_response();
    }
    let Some(content) = user.remove(&file) else { return empty(StatusCode::NOT_FOUND) };
    let bytes = content.len();
    user.write(&to, content);
    json(&told(&asked, &to, bytes))
}

fn keeps(asked: &HashMap<String, String>) -> bool {
    asked.get("overwrite").is_some_and(|value| value == "false")
}

fn told(asked: &HashMap<String, String>, path: &str, bytes: usize) -> Value {
    let in_full = asked.get("full_info").is_some_and(|value| value == "true");
    if in_full { full_info(path, bytes) } else { json!(path) }
}

fn user(process: &Process) -> std::sync::MutexGuard<'_, User> {
    locked(&process.rig.user)
}
