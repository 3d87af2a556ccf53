//! The routes. A handler words the last sample and never causes a reading.

mod body;
mod guard;
mod release;

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Query, State};
use axum::http::header::CONTENT_TYPE;
use axum::http::{StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use door::files::{Reloads, Tls};
use report::{NodeMetrics, Report};
use serde::Deserialize;
use tokio::sync::watch;

pub(crate) use guard::{MayChange, guarded};

use crate::config::{Compat, RamUsed};
use crate::derive;
use crate::exposition;
use crate::release::Release;
use crate::sample::Sample;

/// What the routes speak of.
#[derive(Clone, Debug)]
pub(crate) struct Shared {
    /// What the sampler publishes.
    pub samples: watch::Receiver<Arc<Sample>>,
    /// What `ram_used` means.
    pub ram_used: RamUsed,
    /// Names of another exporter that `/metrics` has besides.
    pub compat: Option<Compat>,
    /// Letting go of NVML.
    pub release: Arc<Release>,
    /// How the files of the token and the certificate fare.
    pub files: Files,
}

/// What is known of the files that may change.
#[derive(Clone, Debug)]
pub(crate) struct Files {
    /// How reading them again, on demand, has gone.
    pub reloads: watch::Receiver<Reloads>,
    /// The certificate, if there is one.
    pub tls: Option<watch::Receiver<Arc<Tls>>>,
}

impl Files {
    fn tell(&self, agent: &mut report::Agent) {
        let (reloads, tls) = (*self.reloads.borrow(), self.tls.as_ref().map(watch::Receiver::borrow));
        agent.config_last_reload_successful = Some(reloads.last_succeeded);
        agent.config_last_reload_success_timestamp_seconds = Some(reloads.last_success.as_secs_f64());
        let expires = tls.and_then(|tls| tls.expires);
        agent.tls_certificate_expiry_timestamp_seconds = expires.map(|expires| expires.as_secs_f64());
    }
}

impl Shared {
    fn sample(&self) -> Arc<Sample> {
        Arc::clone(&self.samples.borrow())
    }

    fn report(&self) -> Report {
        let mut report = derive::report(&self.sample(), Instant::now());
        self.files.tell(report.agent.get_or_insert_default());
        report
    }
}

/// All routes.
pub(crate) fn routes(shared: Shared) -> Router {
    Router::new()
        .route("/orchestrator/metrics", get(node_metrics))
        .route("/metrics", get(metrics))
        .route("/v1/report", get(report))
        .route("/-/healthy", get(healthy))
        .route("/-/ready", get(ready))
        .route("/-/release", post(release::release))
        .fallback(unknown)
        .with_state(shared)
}

async fn node_metrics(State(shared): State<Shared>) -> Json<NodeMetrics> {
    Json(derive::node_metrics(&shared.sample(), Instant::now(), shared.ram_used))
}

/// What is wanted of a report.
#[derive(Debug, Deserialize)]
struct Wanted {
    /// The model files, of which there may be many.
    models: Option<bool>,
}

async fn report(State(shared): State<Shared>, Query(wanted): Query<Wanted>) -> Json<Report> {
    let mut report = shared.report();
    report.models = report.models.filter(|_| wanted.models != Some(false));
    report.node_metrics = Some(derive::node_metrics(&shared.sample(), Instant::now(), shared.ram_used));
    Json(report)
}

async fn metrics(State(shared): State<Shared>) -> Response {
    match exposition::text(&shared.report(), shared.compat) {
        Ok(text) => ([(CONTENT_TYPE, exposition::CONTENT_TYPE)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn healthy() -> &'static str {
    "healthy\n"
}

/// Ready when of every probe it is known what it can tell, be it nothing.
async fn ready(State(shared): State<Shared>) -> (StatusCode, String) {
    let (sample, now) = (shared.sample(), Instant::now());
    let awaited: Vec<&str> =
        sample.records.iter().filter(|record| !record.is_settled(now)).map(|record| record.name).collect();
    if awaited.is_empty() {
        (StatusCode::OK, "ready\n".to_owned())
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: no reading yet of {}\n", awaited.join(", ")))
    }
}

async fn unknown(uri: Uri) -> (StatusCode, String) {
    let routes = "/orchestrator/metrics, /metrics, /v1/report, /-/healthy, /-/ready, /-/release";
    (StatusCode::NOT_FOUND, format!("nothing at {}; there are {routes}\n", uri.path()))
}
