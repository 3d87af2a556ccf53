//! `/history`: ended jobs of the whole fleet, kept over restarts, in ComfyUI's shape.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::queue::{Change, item};
use super::{App, Asker, Refusal, read_body, read_json};
use crate::id::JobId;
use crate::job::Outcome;
use crate::queue::{EndedJob, Page};

#[derive(Deserialize)]
pub(super) struct Asked {
    max_items: Option<i64>,
    offset: Option<i64>,
}

impl Asked {
    /// As ComfyUI means it: a negative offset is none, and without one the newest are meant, of which fewer than one are
    /// none; from an offset on there is always one.
    fn page(&self) -> Option<Page> {
        let offset = self.offset.and_then(|offset| u64::try_from(offset).ok());
        let least = i64::from(offset.is_some());
        let max_items = self.max_items.map(|most| most.max(least).unsigned_abs());
        (max_items != Some(0)).then_some(Page { max_items, offset })
    }
}

pub(super) async fn list(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
) -> Result<Json<Value>, Refusal> {
    let Some(page) = asked.page() else { return Ok(Json(json!({}))) };
    // A semaphore that is never closed always gives its pass in the end.
    let _pass = app.large_answers.acquire().await;
    let jobs = app.queue.store().history(page).await?;
    Ok(Json(Value::Object(jobs.into_iter().map(entry).collect())))
}

/// `{}` for a job that is unknown or has not ended.
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let Some(job) = JobId::canonical(&id) else { return Ok(Json(json!({}))) };
    let ended = app.queue.store().ended(job).await?.filter(|ended| ended.outcome != Outcome::Cancelled);
    Ok(Json(Value::Object(ended.map(entry).into_iter().collect::<Map<_, _>>())))
}

fn entry(job: EndedJob) -> (String, Value) {
    let id = job.id.to_string();
    let prompt = item(job.id, job.place, job.documents);
    let results = job.results;
    let entry = json!({ "prompt": prompt, "outputs": results.outputs, "status": results.status, "meta": results.meta });
    (id, entry)
}

/// A token that may not operate forgets its own jobs only.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let change: Change = read_json(&read_body(body)?)?;
    let owner = asker.forgets_of();
    if change.clear {
        app.queue.forget_all_ended(owner.clone()).await?;
    }
    let named: Vec<JobId> = change.delete.iter().filter_map(|id| JobId::canonical(id)).collect();
    if !named.is_empty() {
        app.queue.forget(named, owner).await?;
    }
    Ok(StatusCode::OK)
}
