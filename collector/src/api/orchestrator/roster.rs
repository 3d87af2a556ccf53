//! What operators do with backends: drain, resume, add, remove. Each answers once the change is kept and the fleet
//! shows it.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::comfyui::{read_body, read_json};
use super::super::{App, Refusal};
use super::backends::{Shown, known, shown};
use super::openapi::Problem;
use crate::config::{self, BackendUrl};
use crate::id::{BackendId, Tag};

/// Gives a backend no new job; what it runs goes on. Kept over restarts; nothing changes where it is drained already.
#[utoipa::path(post, path = "/orchestrator/v1/backends/{id}/drain", tag = "backends",
    params(("id" = String, Path, description = "The backend's name")),
    responses((status = 200, body = Shown), (status = "4XX", body = Problem)))]
pub(super) async fn drain(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Refusal> {
    app.roster.drain(known(&app, &id)?.id.clone()).await?;
    Ok(Json(shown(&app, &*known(&app, &id)?)))
}

/// Gives a drained backend jobs again.
#[utoipa::path(post, path = "/orchestrator/v1/backends/{id}/resume", tag = "backends",
    params(("id" = String, Path, description = "The backend's name")),
    responses((status = 200, body = Shown), (status = "4XX", body = Problem)))]
pub(super) async fn resume(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Json<Shown>, Refusal> {
    app.roster.resume(known(&app, &id)?.id.clone()).await?;
    Ok(Json(shown(&app, &*known(&app, &id)?)))
}

/// A backend to be added, as a `[[backend]]` of the configuration file names one.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NewBackend {
    /// Its ComfyUI's address.
    #[schema(value_type = String)]
    url: BackendUrl,
    /// By default made of the address.
    #[schema(value_type = Option<String>)]
    name: Option<BackendId>,
    /// Its agent's address; by default on ComfyUI's port plus 1000.
    #[schema(value_type = Option<String>)]
    agent: Option<BackendUrl>,
    /// Words by which jobs may ask for it.
    #[schema(value_type = Vec<String>)]
    #[serde(default)]
    tags: BTreeSet<Tag>,
}

/// Adds a backend. It is kept over restarts; the configuration goes before it where both name the same.
#[utoipa::path(post, path = "/orchestrator/v1/backends", tag = "backends", request_body = NewBackend,
    responses((status = 201, body = Shown), (status = "4XX", body = Problem)))]
pub(super) async fn add(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Shown>), Refusal> {
    let NewBackend { url, name, agent, tags } = read_json(&read_body(body)?)?;
    let backend = config::Backend::of(url, name, agent, tags);
    let backend = backend.map_err(|error| Refusal::bad_request("bad_backend", error.to_string()))?;
    let id = backend.id.clone();
    app.roster.add(backend).await?;
    Ok((StatusCode::CREATED, Json(shown(&app, &*known(&app, id.as_str())?))))
}

#[derive(Deserialize)]
pub(super) struct How {
    #[serde(default)]
    force: bool,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Removed {
    #[schema(value_type = String)]
    removed: BackendId,
    /// It stands in the configuration: unless it is taken out there too, it is back after the next start.
    returns_at_restart: bool,
}

/// Removes a backend: 409 while it has jobs of the collector's, unless forced; then they wait again and run elsewhere.
#[utoipa::path(delete, path = "/orchestrator/v1/backends/{id}", tag = "backends",
    params(("id" = String, Path, description = "The backend's name"),
           ("force" = Option<bool>, Query, description = "Give up what it runs")),
    responses((status = 200, body = Removed), (status = "4XX", body = Problem)))]
pub(super) async fn remove(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    Query(how): Query<How>,
) -> Result<Json<Removed>, Refusal> {
    let removed = known(&app, &id)?.id.clone();
    let returns_at_restart = app.roster.remove(removed.clone(), how.force).await?;
    Ok(Json(Removed { removed, returns_at_restart }))
}
