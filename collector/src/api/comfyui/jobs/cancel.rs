//! `POST /api/jobs/{id}/cancel` and `/api/jobs/cancel`: jobs are stopped wherever they are, and stopping one twice, or
//! one that has ended or never was, is no error.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::super::queue::{ask, command, stopping};
use super::super::{App, Asker, Refusal, read_body};
use super::Failure;
use crate::dispatch::Request;
use crate::id::JobId;
use crate::job::Job;

pub(super) async fn one(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let job = JobId::canonical(&id);
    Ok(answer(cancel(&app, &asker, job.as_slice()).await?))
}

pub(super) async fn many(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Failure> {
    let body = read_body(body).map_err(Failure::Refused)?;
    let jobs = ids(&body)?;
    Ok(answer(cancel(&app, &asker, &jobs).await.map_err(Failure::Refused)?))
}

/// Asks dispatch to stop those that wait or run, all of which must be the asker's to stop, and says whether there were
/// any. Those that wait are out of the queue when this returns; of those that a backend has, the request is taken up.
pub(in crate::api) async fn cancel(app: &App, asker: &Asker, jobs: &[JobId]) -> Result<bool, Refusal> {
    let ledger = app.queue.snapshot();
    let live: Vec<&Arc<Job>> = jobs.iter().filter_map(|job| ledger.get(*job)).collect();
    live.iter().try_for_each(|job| command(asker, job))?;
    // All are asked for before the first is waited for, so that they are written together.
    let mut answers = Vec::new();
    for job in live {
        let (reply, taken_up) = oneshot::channel();
        ask(app, Request::Interrupt { job: job.id, reply }).await?;
        answers.push(taken_up);
    }
    let any = !answers.is_empty();
    for taken_up in answers {
        taken_up.await.map_err(|_| stopping())??;
    }
    Ok(any)
}

fn answer(cancelled: bool) -> Json<Value> {
    Json(json!({ "cancelled": cancelled }))
}

#[derive(Deserialize)]
struct Body {
    job_ids: Vec<Value>,
}

/// Every id, or what is wrong with the body in ComfyUI's words.
fn ids(body: &[u8]) -> Result<Vec<JobId>, Failure> {
    let body: Value =
        serde_json::from_slice(body).map_err(|_| Failure::bad("Request body must be valid JSON"))?;
    // An array would be read as an object's fields in their order.
    let body = Some(body).filter(Value::is_object).and_then(|body| serde_json::from_value::<Body>(body).ok());
    let given = body.ok_or_else(|| Failure::bad("job_ids must be a list"))?.job_ids;
    let (mut ids, mut invalid) = (Vec::new(), Vec::new());
    for id in given {
        match id.as_str().and_then(JobId::canonical) {
            Some(job) => ids.push(job),
            None => invalid.push(id.as_str().map_or_else(|| id.to_string(), str::to_owned)),
        }
    }
    if invalid.is_empty() {
        return Ok(ids);
    }
    Err(Failure::Bad(json!({ "error": "job_ids contains invalid id(s)", "invalid_ids": invalid })))
}
