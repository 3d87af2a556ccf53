//! What can be done to one job: stop it, or submit it once more.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Path, State};
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::super::auth::Asker;
use super::super::{App, Refusal, comfyui};
use crate::id::JobId;
use crate::queue::ListedJob;

/// The key in `extra_data` under which what is ours stands.
const OURS: &str = "orchestrator";

#[derive(Serialize)]
pub(super) struct Cancelled {
    /// It waited or ran; one that has ended is left as it is.
    cancelled: bool,
}

/// One that waits is out of the queue with the answer; one that a backend has is being stopped.
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Json<Cancelled>, Refusal> {
    let job = known(&app, &id).await?;
    let cancelled = comfyui::cancel(&app, &asker, &[job.id]).await?;
    Ok(Json(Cancelled { cancelled }))
}

#[derive(Serialize)]
pub(super) struct Retried {
    /// The new job's.
    id: JobId,
    retry_of: JobId,
}

/// A new job with the documents of one that has ended, for the same client, judged as if it were submitted now.
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
    note_origin(&mut documents.extra_data, retry_of);
    let id = comfyui::submit_again(&app, documents, &asker, address).await?;
    Ok(Json(Retried { id, retry_of }))
}

/// Of a retry of a retry the last one is named.
fn note_origin(extra_data: &mut Map<String, Value>, retry_of: JobId) {
    let ours = extra_data.entry(OURS).or_insert_with(|| json!({}));
    if !ours.is_object() {
        *ours = json!({});
    }
    if let Some(ours) = ours.as_object_mut() {
        ours.insert("retry_of".to_owned(), json!(retry_of));
    }
}

async fn known(app: &App, id: &str) -> Result<ListedJob, Refusal> {
    let job = JobId::canonical(id).ok_or_else(|| unknown(id))?;
    app.queue.store().listed(job).await?.ok_or_else(|| unknown(id))
}

fn unknown(id: &str) -> Refusal {
    Refusal::not_found(format!("no job has the id {id}"))
}
