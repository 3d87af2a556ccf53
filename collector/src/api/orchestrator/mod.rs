//! Our own routes, under `/orchestrator/`.

mod backends;
mod convert;
mod discovery;
mod documents;
mod events;
mod feed;
mod follow;
mod free;
mod gpu;
mod inspect;
mod job_actions;
mod job_list;
mod jobs;
mod live;
mod machine;
mod openapi;
mod preview;
mod queue;
mod roster;
mod stream;
mod submit;
mod timeline;
mod whoami;

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::routing::{MethodRouter, get, post};
use tokio_util::sync::CancellationToken;

pub(super) use self::feed::write as write_feed;
pub(super) use self::live::write as write_live;
use super::App;

type Route = (&'static str, MethodRouter<Arc<App>>);

/// A picture may be as long as an upload; a document that is parsed is bounded besides.
pub(super) fn routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    let router = Router::new().route("/orchestrator/metrics", get(backends::agents));
    let router = table().into_iter().fold(router, |router, (path, methods)| router.route(path, methods));
    router.layer(DefaultBodyLimit::max(max_body_bytes)).layer(axum::Extension(stop))
}

/// All that `openapi` describes, and nothing else.
fn table() -> Vec<Route> {
    vec![
        ("/orchestrator/v1/backends", get(backends::list).post(roster::add)),
        ("/orchestrator/v1/backends/{id}", get(backends::one).delete(roster::remove)),
        ("/orchestrator/v1/backends/{id}/drain", post(roster::drain)),
        ("/orchestrator/v1/backends/{id}/free", post(free::free)),
        ("/orchestrator/v1/backends/{id}/resume", post(roster::resume)),
        ("/orchestrator/v1/events", get(events::follow)),
        ("/orchestrator/v1/inspect", post(inspect::inspect)),
        ("/orchestrator/v1/jobs", get(job_list::list).post(submit::submit)),
        ("/orchestrator/v1/jobs/{id}", get(jobs::one)),
        ("/orchestrator/v1/jobs/{id}/cancel", post(job_actions::cancel)),
        ("/orchestrator/v1/jobs/{id}/events", get(follow::follow)),
        ("/orchestrator/v1/jobs/{id}/move", post(job_actions::move_to)),
        ("/orchestrator/v1/jobs/{id}/preview", get(preview::preview)),
        ("/orchestrator/v1/jobs/{id}/priority", post(job_actions::prefer)),
        ("/orchestrator/v1/jobs/{id}/prompt", get(documents::prompt)),
        ("/orchestrator/v1/jobs/{id}/retry", post(job_actions::retry)),
        ("/orchestrator/v1/jobs/{id}/workflow", get(documents::workflow)),
        ("/orchestrator/v1/openapi.json", get(openapi::document)),
        ("/orchestrator/v1/queue", get(queue::queue)),
        ("/orchestrator/v1/sd", get(discovery::agents)),
        ("/orchestrator/v1/timeline", get(timeline::timeline)),
        ("/orchestrator/v1/whoami", get(whoami::whoami)),
    ]
}
