//! What can be done to one job: stop it, move it in the queue, or submit it once more.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::auth::Asker;
use super::super::{App, Refusal, comfyui};
use super::openapi::Problem;
use crate::id::JobId;
use crate::job::{Change, Job, Wishes};
use crate::limits;
use crate::queue::{End, ListedJob};

#[derive(Serialize, ToSchema)]
pub(super) struct Cancelled {
    /// It waited or ran; one that has ended is left as it is.
    cancelled: bool,
}

/// Stops a job.
///
/// One that waits is out of the queue with the answer; one that a backend has is being stopped.
#[utoipa::path(post, path = "/orchestrator/v1/jobs/{id}/cancel", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Cancelled), (status = "4XX", body = Problem)))]
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Json<Cancelled>, Refusal> {
    let job = known(&app, &id).await?;
    let cancelled = comfyui::cancel(&app, &asker, &[job.id]).await?;
    Ok(Json(Cancelled { cancelled }))
}

/// Where a waiting job is to go.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPlace {
    /// `front` or `back` of the queue.
    #[schema(value_type = String)]
    to: Edge,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Edge {
    Front,
    Back,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Moved {
    /// ComfyUI's `number`: the lower goes first.
    number: f64,
}

/// Moves a job that waits to the front or the back of the queue. One that a backend has stays where it is: 409.
#[utoipa::path(post, path = "/orchestrator/v1/jobs/{id}/move", tag = "jobs", request_body = NewPlace,
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Moved), (status = "4XX", body = Problem)))]
pub(super) async fn move_to(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Moved>, Refusal> {
    let NewPlace { to } = comfyui::read_json(&comfyui::read_body(body)?)?;
    let job = waiting(&app, &asker, &id).await?;
    let number = app.queue.snapshot().number_at(match to {
        Edge::Front => End::Front,
        Edge::Back => End::Back,
    });
    app.queue.change(Change::Move { job: job.id, number }).await?;
    Ok(Json(Moved { number }))
}

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewPriority {
    /// A factor of its weight among those that wait: 0.01 to 100.
    priority: f64,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Preferred {
    priority: f64,
}

/// Gives a job that waits another priority. One that a backend has keeps its own: 409.
#[utoipa::path(post, path = "/orchestrator/v1/jobs/{id}/priority", tag = "jobs", request_body = NewPriority,
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Preferred), (status = "4XX", body = Problem)))]
pub(super) async fn prefer(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Preferred>, Refusal> {
    let NewPriority { priority } = comfyui::read_json(&comfyui::read_body(body)?)?;
    let allowed = limits::PRIORITY;
    if !allowed.contains(&priority) {
        let message = format!("priority is {priority}; allowed are {} to {}", allowed.start(), allowed.end());
        return Err(Refusal::bad_request("bad_priority", message));
    }
    let job = waiting(&app, &asker, &id).await?;
    app.queue.change(Change::Prefer { job: job.id, priority }).await?;
    Ok(Json(Preferred { priority }))
}

/// The job, if it has not ended and is the asker's to command.
async fn waiting(app: &App, asker: &Asker, id: &str) -> Result<Arc<Job>, Refusal> {
    let ledger = app.queue.snapshot();
    let Some(job) = JobId::canonical(id).and_then(|job| ledger.get(job)) else {
        let job = known(app, id).await?;
        let message =
            format!("job {id} has ended ({}), so it has no place in the queue", job.standing.as_str());
        return Err(Refusal::new(StatusCode::CONFLICT, "not_waiting", message));
    };
    comfyui::command(asker, job)?;
    Ok(Arc::clone(job))
}

#[derive(Serialize, ToSchema)]
pub(super) struct Retried {
    /// The new job's.
    #[schema(value_type = String)]
    id: JobId,
    #[schema(value_type = String)]
    retry_of: JobId,
}

/// A new job with the documents of one that has ended, for the same client, judged as if it were submitted now.
#[utoipa::path(post, path = "/orchestrator/v1/jobs/{id}/retry", tag = "jobs",
    params(("id" = String, Path, description = "The id of a job that has ended")),
    responses((status = 200, body = Retried), (status = "4XX", body = Problem)))]
pub(super) async fn retry(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Path(id): Path<String>,
) -> Result<Json<Retried>, Refusal> {
    let job = known(&app, &id).await?;
    if !job.standing.is_ended() {
        let message = format!("job {id} has not ended; cancel it first, or let it end");
        return Err(Refusal::new(StatusCode::CONFLICT, "not_ended", message));
    }
    let retry_of = job.id;
    let mut documents = app.queue.store().documents(retry_of).await?.ok_or_else(|| unknown(&id))?;
    note_origin(&mut documents.extra_data, retry_of, job.wishes.again());
    let id = comfyui::submit_again(&app, documents, &asker, address).await?;
    Ok(Json(Retried { id, retry_of }))
}

/// Of a retry of a retry the last one is named. It asks for what the first did.
fn note_origin(extra_data: &mut Map<String, Value>, retry_of: JobId, wishes: Wishes) {
    let mut ours = json!(wishes);
    if let Some(ours) = ours.as_object_mut() {
        ours.insert(comfyui::RETRY_OF.to_owned(), json!(retry_of));
    }
    extra_data.insert(comfyui::OURS.to_owned(), ours);
}

async fn known(app: &App, id: &str) -> Result<ListedJob, Refusal> {
    let job = JobId::canonical(id).ok_or_else(|| unknown(id))?;
    app.queue.store().listed(job).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(format!("no job has the id {id}"))
}
