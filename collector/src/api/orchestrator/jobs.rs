//! One job: where it stands, where it was tried, and why there.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::super::comfyui::look;
use super::super::{App, Refusal};
use super::documents::workflow_of;
use super::live::Progress;
use super::openapi::Problem;
use crate::id::JobId;
use crate::job::{Job, Wishes};
use crate::queue::{AttemptRecord, Delivery, shown_receiver};

/// One job: where it stands, where it was tried and why there; why it waits, how far it is, or its outputs.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let unknown = || Refusal::not_found(format!("no job has the id {id}"));
    let job = JobId::canonical(&id).ok_or_else(unknown)?;
    let store = app.queue.store();
    let listed = store.listed(job).await?.ok_or_else(unknown)?;
    let documents = store.documents(job).await?.ok_or_else(unknown)?;
    let attempts: Vec<Value> = store.attempts(job).await?.iter().map(attempt).collect();
    let mut told = json!({
        "id": job, "state": listed.standing, "number": listed.place.number_json(), "client": listed.client_id,
        "owner": listed.owner, "submitted_at": listed.submitted_at, "models": listed.needs.models().0,
        "work": listed.needs.work, "wishes": shown_wishes(&listed.wishes), "attempts": attempts, "has_workflow": workflow_of(&documents).is_some(),
    });
    let live = app.queue.snapshot().get(job).cloned();
    let more = match live {
        Some(live) => of_live(&app, &live).await?,
        None => {
            let ended = store.ended(job).await?.ok_or_else(unknown)?;
            let webhook = store.delivery(job).await?.map(shown_delivery);
            json!({
                "state": ended.outcome, "ended_at": ended.ended_at, "started_at": listed.summary.execution_start,
                "outputs": ended.results.outputs, "status": ended.results.status, "webhook": webhook,
            })
        }
    };
    if let (Some(told), Value::Object(more)) = (told.as_object_mut(), more) {
        told.extend(more.into_iter().filter(|(_, value)| !value.is_null()));
        told.retain(|_, value| !value.is_null());
    }
    Ok(Json(told))
}

async fn of_live(app: &App, job: &Arc<Job>) -> Result<Value, Refusal> {
    if job.is_waiting() {
        return Ok(json!({ "state": "waiting", "why_waiting": why_waiting(app, job).await? }));
    }
    let view = app.dispatch.view.borrow().clone();
    let progress = view.running.get(&job.id).map(|running| Progress::of(app, job.id, running));
    Ok(json!({ "state": "dispatched", "progress": progress }))
}

/// Not only its submitter may read a job.
fn shown_wishes(wishes: &Wishes) -> Value {
    let mut shown = json!(wishes);
    if let (Some(shown), Some(url)) = (shown.as_object_mut(), &wishes.webhook) {
        shown.insert("webhook".to_owned(), json!(shown_receiver(url)));
    }
    shown
}

fn shown_delivery(delivery: Delivery) -> Value {
    json!({
        "receiver": shown_receiver(&delivery.url), "state": delivery.state, "attempts": delivery.attempts,
        "tried_at": delivery.tried_at, "due_at": delivery.due_at, "error": delivery.error,
    })
}

/// Every backend's verdict on the same snapshot that the last decision saw.
async fn why_waiting(app: &App, job: &Arc<Job>) -> Result<Value, Refusal> {
    let verdicts = look(app).await?.explain(job, app.clock.now());
    let lines = verdicts.into_iter();
    Ok(lines.map(|(backend, verdict)| (backend.to_string(), json!(verdict.to_string()))).collect())
}

/// When it began to run and its first step came are told once it has ended, if they were heard.
fn attempt(attempt: &AttemptRecord) -> Value {
    let mut told = json!({
        "number": attempt.number, "backend": attempt.backend, "why": attempt.why,
        "dispatched_at": attempt.dispatched_at, "ended_at": attempt.ended_at, "ending": attempt.ending,
        "started_at": attempt.course.started_at, "first_step_at": attempt.course.first_step_at,
    });
    if let Some(told) = told.as_object_mut() {
        told.retain(|_, value| !value.is_null());
    }
    told
}
