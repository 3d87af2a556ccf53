//! Our own routes, under `/orchestrator/`.

mod backends;
mod jobs;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;

use super::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/orchestrator/metrics", get(backends::agents))
        .route("/orchestrator/v1/backends", get(backends::list))
        .route("/orchestrator/v1/jobs/{id}", get(jobs::one))
}
