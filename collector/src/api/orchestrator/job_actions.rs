//! What can be done to one job: stop it, or submit it once more.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::auth::Asker;
use super::super::{App, Refusal, comfyui};
use super::openapi::Problem;
use crate::id::JobId;
use crate::job::Wishes;
use crate::queue::ListedJob;

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
