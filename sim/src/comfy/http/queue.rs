//! What waits, runs and ran: `/prompt` (the count), `/queue`, `/interrupt`, `/free`, `/history`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{empty, json, parsed, trouble};
use crate::comfy::process::Process;
use crate::comfy::queue::Item;
use crate::lock::locked;

pub(super) async fn count(State(process): State<Arc<Process>>) -> Response {
    json(&json!({"exec_info": {"queue_remaining": process.remaining()}}))
}

pub(super) async fn show(State(process): State<Arc<Process>>) -> Response {
    let queue = locked(&process.queue);
    let running: Vec<Value> = queue.running.iter().map(Item::to_json).collect();
    let pending: Vec<Value> = queue.pending().iter().map(Item::to_json).collect();
    json(&json!({"queue_running": running, "queue_pending": pending}))
}

pub(super) async fn change(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    let request = match parsed(&body) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    if is_set(&request, "clear") {
        locked(&process.queue).clear();
        process.queue_changed();
    }
    for id in listed(&request) {
        let was_there = locked(&process.queue).delete(id);
        if was_there {
            process.queue_changed();
        }
    }
    empty(StatusCode::OK)
}

pub(super) async fn interrupt(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    process.rig.board.count(|counters| counters.interrupts += 1);
    // The original takes whatever is no JSON for an empty body, and 2024 does not look at it.
    let request: Value = serde_json::from_slice(&body).unwrap_or_default();
    let prompt_id = request.get("prompt_id").and_then(Value::as_str);
    process.interrupt(prompt_id.filter(|_| process.generation().is_current()));
    empty(StatusCode::OK)
}

pub(super) async fn free(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    let request = match parsed(&body) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let (unload_models, free_memory) = (is_set(&request, "unload_models"), is_set(&request, "free_memory"));
    if unload_models || free_memory {
        let mut flags = locked(&process.flags);
        flags.unload_models |= unload_models;
        flags.free_memory |= free_memory;
        drop(flags);
        process.rig.board.count(|counters| counters.frees += 1);
        process.wake.notify_one();
    }
    empty(StatusCode::OK)
}

#[derive(Debug, Deserialize)]
pub(super) struct Span {
    max_items: Option<i64>,
    offset: Option<i64>,
}

pub(super) async fn history(
    State(process): State<Arc<Process>>,
    span: Result<Query<Span>, QueryRejection>,
) -> Response {
    // Python's `int` raises where a number is none.
    let Ok(Query(span)) = span else { return trouble() };
    json(&locked(&process.history).all(span.max_items, span.offset))
}

pub(super) async fn history_of(
    State(process): State<Arc<Process>>,
    Path(prompt_id): Path<String>,
) -> Response {
    json(&locked(&process.history).one(&prompt_id))
}

pub(super) async fn change_history(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    let request = match parsed(&body) {
        Ok(request) => request,
        Err(response) => return *response,
    };
    let mut history = locked(&process.history);
    if is_set(&request, "clear") {
        history.clear();
    }
    for id in listed(&request) {
        history.delete(id);
    }
    empty(StatusCode::OK)
}

fn is_set(request: &Value, key: &str) -> bool {
    request.get(key).and_then(Value::as_bool).unwrap_or(false)
}

fn listed(request: &Value) -> impl Iterator<Item = &str> {
    request.get("delete").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
}
