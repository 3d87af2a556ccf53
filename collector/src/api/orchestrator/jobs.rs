//! One job: where it stands, where it was tried, and why there.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde_json::{Value, json};

use super::super::{App, Refusal};
use super::openapi::Problem;
use crate::id::JobId;
use crate::job::{Job, State as JobState, Wishes};
use crate::queue::{AttemptRecord, Delivery, shown_receiver};
use crate::route;

/// One job: where it stands, where it was tried and why there; why it waits, or its outputs.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Refusal> {
    let unknown = || Refusal::not_found(format!("no job has the id {id}"));
    let job = JobId::canonical(&id).ok_or_else(unknown)?;
    let attempts = app.queue.store().attempts(job).await?.iter().map(attempt).collect::<Vec<_>>();
    let live = app.queue.snapshot().get(job).cloned();
    if let Some(live) = live {
        let (state, why_waiting) = match live.state {
            JobState::Waiting => ("waiting", Some(why_waiting(&app, &live))),
            _ => ("dispatched", None),
        };
        let submitted_at = live.submitted_at;
        return Ok(Json(json!({
            "id": job, "state": state, "submitted_at": submitted_at, "models": live.needs.models().0,
            "wishes": shown_wishes(&live.wishes),
            "attempts": attempts, "why_waiting": why_waiting,
        })));
    }
    let ended = app.queue.store().ended(job).await?.ok_or_else(unknown)?;
    let webhook = app.queue.store().delivery(job).await?.map(shown_delivery);
    Ok(Json(json!({
        "id": job, "state": ended.outcome, "submitted_at": ended.submitted_at, "ended_at": ended.ended_at,
        "wishes": shown_wishes(&ended.wishes), "webhook": webhook, "attempts": attempts, "outputs": ended.results.outputs, "status": ended.results.status,
    })))
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
fn why_waiting(app: &App, job: &Job) -> Value {
    let view = app.dispatch.view.borrow().clone();
    let verdicts = route::explain(&view.candidates, job, &view.estimates, app.clock.now());
    verdicts.into_iter().map(|(backend, verdict)| (backend.to_string(), json!(verdict.to_string()))).collect()
}

fn attempt(attempt: &AttemptRecord) -> Value {
    json!({
        "number": attempt.number, "backend": attempt.backend, "why": attempt.why,
        "dispatched_at": attempt.dispatched_at, "ended_at": attempt.ended_at, "ending": attempt.ending,
    })
}
