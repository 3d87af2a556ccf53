//! For those who operate it: health, readiness, metrics.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::{App, figures};
use crate::metrics::Metrics;

pub(super) fn signs_of_life() -> Router<Arc<App>> {
    Router::new().route("/-/healthy", get(|| async { "healthy\n" })).route("/-/ready", get(ready))
}

pub(super) fn figures() -> Router<Arc<App>> {
    Router::new().route("/metrics", get(metrics))
}

async fn ready(State(app): State<Arc<App>>) -> (StatusCode, &'static str) {
    match app.dispatch.view.borrow().reconciled {
        true => (StatusCode::OK, "ready\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "attempts found at start are still being looked up\n"),
    }
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    let (fleet, ledger, view) = (app.fleet(), app.queue.snapshot(), app.dispatch.view.borrow().clone());
    let (reloads, tls) = (*app.reloads.borrow(), app.tls.as_ref().map(|tls| Arc::clone(&tls.borrow())));
    let show = |metrics: &Metrics| {
        figures::show(metrics, &fleet, &ledger, &view, app.clock.now());
        figures::show_files(metrics, &reloads, tls.as_deref());
    };
    match app.metrics.text(show) {
        Ok(text) => {
            ([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response()
        }
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}
