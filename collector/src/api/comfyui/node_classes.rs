//! `/object_info`: the union of what the backends offer, so that a model that only one has can be chosen.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use serde_json::{Value, json};

use super::{App, Refusal};
use crate::fleet::Union;

pub(super) async fn all(State(app): State<Arc<App>>) -> Result<impl IntoResponse, Refusal> {
    let text = merged(&app, |union| union.text()).await?;
    Ok(([(header::CONTENT_TYPE, "application/json; charset=utf-8")], text))
}

/// `{}` for an unknown class.
pub(super) async fn one(
    State(app): State<Arc<App>>,
    Path(class): Path<String>,
) -> Result<Json<Value>, Refusal> {
    let known =
        merged(&app, move |union| union.document().0.get(&class).map(|known| json!({ class: known })))
            .await?;
    Ok(Json(known.unwrap_or_else(|| json!({}))))
}

/// Merging megabytes happens once a change, off the async threads.
async fn merged<T: Send + 'static>(
    app: &App,
    read: impl FnOnce(&Union) -> T + Send + 'static,
) -> Result<T, Refusal> {
    let union = Arc::clone(&app.fleet().union);
    let read = tokio::task::spawn_blocking(move || read(&union)).await;
    read.map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))
}
