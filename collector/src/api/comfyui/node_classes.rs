//! `/object_info`: the union of what the backends offer, so that a model that only one has can be chosen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{App, Refusal};

pub(super) async fn all(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Refusal> {
    let union = Arc::clone(&app.fleet().union);
    // Merging megabytes happens once a change, off the async threads.
    let text = tokio::task::spawn_blocking(move || union.text()).await;
    let text = text.map_err(|e| {
        Refusal::new(axum::http::StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string())
    })?;
    Ok(([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text))
}

/// `{}` for an unknown class.
pub(super) async fn one(State(app): State<Arc<App>>, Path(class): Path<String>) -> Json<Value> {
    let fleet = app.fleet();
    match fleet.union.document().0.get(&class) {
        Some(known) => Json(json!({ class: known })),
        None => Json(json!({})),
    }
}
