//! `/api/jobs` of 0.8: what waits, runs and ran in one list.

use std::sync::Arc;

use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::answer::{document, json};
use crate::comfy::history::Entry;
use crate::comfy::process::Process;
use crate::comfy::queue::Item;
use crate::lock::locked;

const STATUSES: [&str; 4] = ["pending", "in_progress", "completed", "failed"];

pub(super) fn routes() -> Router<Arc<Process>> {
    Router::new().route("/jobs", get(list)).route("/jobs/{id}", get(one))
}

#[derive(Debug, Deserialize)]
struct Filter {
    status: Option<String>,
    workflow_id: Option<String>,
    sort_by: Option<String>,
    sort_order: Option<String>,
    limit: Option<i64>,
    offset: Option<i64>,
}

impl Filter {
    /// What is wrong with it, in the original's words.
    fn complaint(&self) -> Option<String> {
        let statuses = self.status.iter().flat_map(|list| list.split(',')).map(str::trim);
        let unknown: Vec<&str> = statuses.filter(|status| !STATUSES.contains(status)).collect();
        let known = |value: &Option<String>, names: [&str; 2]| {
            value.as_deref().is_none_or(|value| names.contains(&value))
        };
        if !unknown.is_empty() {
            let (unknown, valid) = (unknown.join(", "), STATUSES.join(", "));
            Some(format!("Invalid status value(s): {unknown}. Valid values: {valid}"))
        } else if !known(&self.sort_by, ["created_at", "execution_duration"]) {
            Some("sort_by must be 'created_at' or 'execution_duration'".to_owned())
        } else if !known(&self.sort_order, ["asc", "desc"]) {
            Some("sort_order must be 'asc' or 'desc'".to_owned())
        } else {
            let is_wrong = self.limit.is_some_and(|limit| limit <= 0);
            is_wrong.then(|| "limit must be a positive integer".to_owned())
        }
    }

    fn wants(&self, job: &Map<String, Value>) -> bool {
        let text = |key: &str| job.get(key).and_then(Value::as_str);
        let status = self.status.as_deref();
        status.is_none_or(|list| list.split(',').any(|status| text("status") == Some(status.trim())))
            && self.workflow_id.as_deref().is_none_or(|id| text("workflow_id") == Some(id))
    }
}

async fn list(State(process): State<Arc<Process>>, Query(filter): Query<Filter>) -> Response {
    if let Some(complaint) = filter.complaint() {
        return document(StatusCode::BAD_REQUEST, &json!({ "error": complaint }));
    }
    let mut jobs: Vec<_> = all(&process).into_iter().filter(|job| filter.wants(job)).collect();
    sort(&mut jobs, &filter);
    let total = jobs.len();
    let offset = usize::try_from(filter.offset.unwrap_or(0)).unwrap_or(0);
    let limit = filter.limit.and_then(|limit| usize::try_from(limit).ok());
    let page: Vec<_> = jobs.into_iter().skip(offset).take(limit.unwrap_or(total)).collect();
    let has_more = offset + page.len() < total;
    json(&json!({
        "jobs": page,
        "pagination": {"offset": offset, "limit": limit, "total": total, "has_more": has_more},
    }))
}

fn sort(jobs: &mut [Map<String, Value>], filter: &Filter) {
    let time = |job: &Map<String, Value>, key: &str| job.get(key).and_then(Value::as_u64).unwrap_or(0);
    let by_duration = filter.sort_by.as_deref() == Some("execution_duration");
    let key = |job: &Map<String, Value>| {
        if by_duration {
            time(job, "execution_end_time").saturating_sub(time(job, "execution_start_time"))
        } else {
            time(job, "create_time")
        }
    };
    if filter.sort_order.as_deref() == Some("asc") {
        jobs.sort_by_key(key);
    } else {
        jobs.sort_by_key(|job| std::cmp::Reverse(key(job)));
    }
}

fn all(process: &Process) -> Vec<Map<String, Value>> {
    let queue = locked(&process.queue);
    let history = locked(&process.history);
    let running = queue.running.iter().map(|item| waiting(item, "in_progress"));
    let pending = queue.pending().iter().map(|item| waiting(item, "pending"));
    running.chain(pending).chain(history.entries().map(ended)).collect()
}

async fn one(State(process): State<Arc<Process>>, Path(id): Path<String>) -> Response {
    match detailed(&process, &id) {
        Some(job) => json(&Value::Object(job)),
        None => document(StatusCode::NOT_FOUND, &json!({"error": "Job not found"})),
    }
}

fn detailed(process: &Process, id: &str) -> Option<Map<String, Value>> {
    let queue = locked(&process.queue);
    let history = locked(&process.history);
    let running = queue.running.iter().map(|item| (item, "in_progress"));
    let pending = queue.pending().iter().map(|item| (item, "pending"));
    if let Some((item, status)) = running.chain(pending).find(|(item, _)| item.prompt_id == id) {
        let mut job = waiting(item, status);
        job.insert("workflow".to_owned(), workflow(item));
        return Some(job);
    }
    let entry = history.entries().find(|entry| entry.item.prompt_id == id)?;
    let mut job = ended(entry);
    job.insert("outputs".to_owned(), json!(entry.outputs));
    job.insert("execution_status".to_owned(), entry.status());
    job.insert("workflow".to_owned(), workflow(&entry.item));
    Some(job)
}

fn workflow(item: &Item) -> Value {
    json!({"prompt": item.prompt, "extra_data": item.extra_data})
}

fn waiting(item: &Item, status: &str) -> Map<String, Value> {
    let mut job = begun(item, status);
    job.insert("outputs_count".to_owned(), json!(0));
    job.extend(workflow_id(item));
    job
}

fn ended(entry: &Entry) -> Map<String, Value> {
    let mut job = begun(&entry.item, if entry.succeeded { "completed" } else { "failed" });
    let last = entry.messages.last();
    for (key, message) in [("execution_start_time", entry.messages.first()), ("execution_end_time", last)] {
        let time = message.and_then(|message| message.get(1)?.get("timestamp"));
        job.extend(time.map(|time| (key.to_owned(), time.clone())));
    }
    let error = last.filter(|last| last.get(0) == Some(&json!("execution_error")));
    job.extend(
        error.and_then(|error| error.get(1)).map(|error| ("execution_error".to_owned(), error.clone())),
    );
    let outputs = outputs(entry);
    job.insert("outputs_count".to_owned(), json!(outputs.len()));
    let is_kept = |output: &&Value| output.get("type") == Some(&json!("output"));
    let preview = outputs.iter().find(is_kept).or_else(|| outputs.first());
    job.extend(preview.map(|preview| ("preview_output".to_owned(), preview.clone())));
    job.extend(workflow_id(&entry.item));
    job
}

fn begun(item: &Item, status: &str) -> Map<String, Value> {
    let mut job = Map::new();
    job.insert("id".to_owned(), json!(item.prompt_id));
    job.insert("status".to_owned(), json!(status));
    job.insert("priority".to_owned(), item.number.clone());
    job.extend(item.create_time().map(|time| ("create_time".to_owned(), json!(time))));
    job
}

fn workflow_id(item: &Item) -> Option<(String, Value)> {
    let id = item.extra_data.pointer("/extra_pnginfo/workflow/id")?;
    Some(("workflow_id".to_owned(), id.clone()))
}

/// Every file that a job made: `{filename, subfolder, type, nodeId, mediaType}`.
fn outputs(entry: &Entry) -> Vec<Value> {
    let mut outputs = Vec::new();
    for (node, shown) in &entry.outputs {
        for (media, files) in shown.as_object().into_iter().flatten() {
            for file in files.as_array().into_iter().flatten().filter_map(Value::as_object) {
                let mut output = file.clone();
                output.insert("nodeId".to_owned(), json!(node));
                output.insert("mediaType".to_owned(), json!(media));
                outputs.push(Value::Object(output));
            }
        }
    }
    outputs
}
