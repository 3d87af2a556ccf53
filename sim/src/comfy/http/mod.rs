//! The routes of a simulated server: one file a family. Each generation serves what it served.

mod answer;
mod files;
mod interface;
mod jobs;
mod objects;
mod origin;
mod prompt;
mod queue;
mod socket;
mod stats;
mod user;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::middleware::{self, Next};
use axum::response::Response;
use axum::routing::{any, get, post};

use super::process::Process;
use crate::faults::{inject, route_of};

/// The largest upload, as `features.max_upload_size` says.
pub(super) const MAX_UPLOAD_BYTES: usize = 100 << 20;

/// Everything that one process serves.
pub(crate) fn router(process: Arc<Process>) -> Router {
    let config = &process.rig.config;
    let mut routes = shared();
    if config.generation.is_current() {
        let newer = newer();
        routes = routes.merge(newer);
        routes = routes.clone().nest("/api", routes.merge(jobs::routes())).merge(interface::apart());
    } else {
        routes = routes.merge(user::older());
    }
    routes = routes.merge(interface::everywhere());
    if config.python_node {
        routes = routes.route("/orchestrator/metrics", get(stats::node_metrics));
    }
    routes
        .fallback(answer::unknown)
        .method_not_allowed_fallback(answer::wrong_method)
        .layer(DefaultBodyLimit::max(MAX_UPLOAD_BYTES))
        .layer(middleware::from_fn_with_state(Arc::clone(&process), origin::check))
        .layer(middleware::from_fn_with_state(process.rig.faults.clone(), inject))
        .layer(middleware::from_fn_with_state(Arc::clone(&process), observe))
        .with_state(process)
}

fn shared() -> Router<Arc<Process>> {
    Router::new()
        .route("/prompt", get(queue::count).post(prompt::submit))
        .route("/queue", get(queue::show).post(queue::change))
        .route("/interrupt", post(queue::interrupt))
        .route("/free", post(queue::free))
        .route("/history", get(queue::history).post(queue::change_history))
        .route("/history/{prompt_id}", get(queue::history_of))
        .route("/upload/image", post(files::upload_image))
        .route("/upload/mask", post(files::upload_mask))
        .route("/view", get(view::view))
        .route("/object_info", get(objects::all))
        .route("/object_info/{class}", get(objects::one))
        .route("/embeddings", get(objects::embeddings))
        .route("/view_metadata/{folder}", get(objects::metadata))
        .route("/system_stats", get(stats::system_stats))
        .route("/ws", any(socket::open))
        .merge(user::shared())
        .merge(interface::shared())
}

fn newer() -> Router<Arc<Process>> {
    Router::new()
        .route("/features", get(stats::features))
        .route("/models", get(objects::folders))
        .route("/models/{folder}", get(objects::models))
        .merge(user::newer())
        .merge(interface::newer())
}

/// Counts a request, and holds it up while the process hangs and for as long as answers take.
async fn observe(State(process): State<Arc<Process>>, request: Request, next: Next) -> Response {
    let route = format!("{} {}", request.method(), route_of(request.uri().path()));
    process.rig.board.count(|counters| *counters.requests.entry(route).or_default() += 1);
    process.rig.gate.answer().await;
    // Even a sleep of nothing lasts until the timer's next millisecond.
    if !process.rig.config.latency.is_zero() {
        tokio::time::sleep(process.rig.config.latency).await;
    }
    next.run(request).await
}
