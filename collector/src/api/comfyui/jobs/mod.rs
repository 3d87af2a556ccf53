//! `/api/jobs`: what waits, runs and ran in one list, as ComfyUI 0.38 shows it (0.8 has the same without `cancelled` and
//! `previewable_outputs_count`). These routes have no form without `/api`.

mod asked;
mod cancel;
mod shown;

use std::sync::Arc;

use axum::extract::{DefaultBodyLimit, Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use self::asked::{Asked, Parameters};
pub(in crate::api) use self::cancel::cancel;
use super::{App, Refusal};
use crate::id::JobId;
use crate::limits;
use crate::queue::StoreError;

pub(in crate::api) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs", get(list))
        .route("/jobs/cancel", post(cancel::many))
        .route("/jobs/{id}", get(one))
        .route("/jobs/{id}/cancel", post(cancel::one))
        .layer(DefaultBodyLimit::max(limits::DOCUMENT_BYTES))
}

/// What goes wrong here. The first two have a shape that ComfyUI uses on these routes only: `{"error": "..."}`.
enum Failure {
    Bad(Value),
    Unknown,
    Refused(Refusal),
}

impl Failure {
    fn bad(message: impl Into<String>) -> Self {
        Self::Bad(json!({ "error": message.into() }))
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Refused(error.into())
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        match self {
            Self::Bad(document) => (StatusCode::BAD_REQUEST, Json(document)).into_response(),
            Self::Unknown => {
                (StatusCode::NOT_FOUND, Json(json!({ "error": "Job not found" }))).into_response()
            }
            Self::Refused(refusal) => refusal.into_response(),
        }
    }
}

/// `limit` is told as it was asked for, also where [`limits::HISTORY_PAGE`] cuts the page shorter.
async fn list(
    State(app): State<Arc<App>>,
    Query(parameters): Query<Parameters>,
) -> Result<Json<Value>, Failure> {
    let Asked { filter, window, limit } = asked::read(&parameters).map_err(Failure::bad)?;
    // A semaphore that is never closed always gives its pass in the end.
    let _pass = match window.limit > limits::LIST_WITHOUT_PASS {
        true => app.large_answers.acquire().await.ok(),
        false => None,
    };
    let store = app.queue.store();
    let (jobs, total) = tokio::try_join!(store.list(&filter, &window), store.count(&filter))?;
    let has_more = window.offset.saturating_add(jobs.len() as u64) < total;
    let jobs: Vec<Value> = jobs.into_iter().map(shown::listed).collect();
    let pagination = json!({ "offset": window.offset, "limit": limit, "total": total, "has_more": has_more });
    Ok(Json(json!({ "jobs": jobs, "pagination": pagination })))
}

async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Value>, Failure> {
    let id = JobId::canonical(&id).ok_or(Failure::Unknown)?;
    let store = app.queue.store();
    let job = store.listed(id).await?.filter(|job| shown::status(job.standing).is_some());
    let job = job.ok_or(Failure::Unknown)?;
    let backend = job.backend.clone();
    let ended = if job.standing.is_ended() { store.ended(id).await? } else { None };
    let mut document = shown::listed(job);
    match ended {
        Some(ended) => shown::add_results(&mut document, ended, backend.as_ref()),
        None => {
            let documents = store.documents(id).await?.ok_or(Failure::Unknown)?;
            shown::add_workflow(&mut document, documents);
        }
    }
    Ok(Json(document))
}
