//! Our own routes, under `/orchestrator/`.

mod backends;
mod job_actions;
mod job_list;
mod jobs;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};

use super::App;

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/orchestrator/metrics", get(backends::agents))
        .route("/orchestrator/v1/backends", get(backends::list))
        .route("/orchestrator/v1/jobs", get(job_list::list))
        .route("/orchestrator/v1/jobs/{id}", get(jobs::one))
        .route("/orchestrator/v1/jobs/{id}/cancel", post(job_actions::cancel))
        .route("/orchestrator/v1/jobs/{id}/retry", post(job_actions::retry))
}
