//! `/models`, `/embeddings`: the union of what the backends list, so that a model that only one has can be chosen.
//! `/view_metadata`: streamed from a backend that has the model.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use indexmap::IndexSet;
use serde::Deserialize;

use super::{App, Refusal};
use crate::fleet::{Backend, Fleet, models};

fn backends(fleet: &Fleet) -> impl Iterator<Item = &Backend> {
    fleet.backends.iter().map(AsRef::as_ref)
}

pub(super) async fn folders(State(app): State<Arc<App>>) -> Json<IndexSet<String>> {
    Json(models::folder_names(backends(&app.fleet())))
}

pub(super) async fn files(
    State(app): State<Arc<App>>,
    Path(folder): Path<String>,
) -> Result<Json<BTreeSet<String>>, Refusal> {
    let files = models::files_in(backends(&app.fleet()), &folder);
    files.map(Json).ok_or_else(|| Refusal::not_found(format!("no backend has a model folder {folder:?}")))
}

pub(super) async fn embeddings(State(app): State<Arc<App>>) -> Json<BTreeSet<String>> {
    Json(models::embeddings(backends(&app.fleet())))
}

#[derive(Deserialize)]
pub(super) struct Named {
    #[serde(default)]
    filename: String,
}

/// Only for files that a backend lists: nothing else of it can be reached by this.
pub(super) async fn metadata(
    State(app): State<Arc<App>>,
    Path(folder): Path<String>,
    Query(named): Query<Named>,
) -> Result<Response, Refusal> {
    let missing =
        || Refusal::not_found(format!("no backend that is up lists {:?} in {folder:?}", named.filename));
    let fleet = app.fleet();
    let mut up = backends(&fleet).filter(|backend| backend.health.is_up());
    let owner = up.find(|backend| models::has(backend, &folder, &named.filename)).ok_or_else(missing)?;
    let client = app.clients.get(&owner.id).ok_or_else(missing)?;
    let answer = client.view_metadata(&folder, &named.filename).await.map_err(super::view::refusal)?;
    let kind = answer.headers.get(header::CONTENT_TYPE).map(|kind| (header::CONTENT_TYPE, kind.clone()));
    let headers = HeaderMap::from_iter(kind);
    Ok((answer.status, headers, Body::from_stream(answer.into_stream())).into_response())
}
