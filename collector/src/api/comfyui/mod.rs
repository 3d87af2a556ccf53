//! ComfyUI's routes, one file a family.

mod control;
mod history;
mod jobs;
mod judge;
mod loaded;
mod loose;
mod models;
mod node_classes;
mod prompt;
mod queue;
mod socket;
mod system;
mod upload;
mod view;
mod wishes;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::routing::{get, post};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;

pub(super) use self::jobs::{cancel, routes as job_routes};
pub(super) use self::prompt::{Submitting, accept, again as submit_again, judged};
pub(super) use self::queue::{announce as announce_queue, ask, command, look, stopping};
pub(super) use self::wishes::{OURS, RETRY_OF, of_headers as wishes_of_headers};
use super::{App, Asker, Refusal};
use crate::limits;

/// Only uploads may be as long as the configuration allows: all else is parsed, which takes many times its length.
pub(super) fn routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    Router::new()
        .route("/prompt", get(queue::remaining).post(prompt::submit))
        .route("/queue", get(queue::list).post(queue::change))
        .route("/history", get(history::list).post(history::change))
        .route("/history/{id}", get(history::one))
        .route("/interrupt", post(control::interrupt))
        .route("/free", post(control::free))
        .layer(DefaultBodyLimit::max(max_body_bytes.min(limits::DOCUMENT_BYTES)))
        .route("/upload/image", post(upload::image).layer(DefaultBodyLimit::max(max_body_bytes)))
        .route("/upload/mask", post(upload::mask).layer(DefaultBodyLimit::max(max_body_bytes)))
        .route("/object_info", get(node_classes::all))
        .route("/object_info/{class}", get(node_classes::one))
        .route("/models", get(models::folders))
        .route("/models/{folder}", get(models::files))
        .route("/embeddings", get(models::embeddings))
        .route("/view_metadata/{folder}", get(models::metadata))
        .route("/features", get(system::features))
        .route("/system_stats", get(system::stats))
        .route("/view", get(view::file))
        .route("/ws", get(socket::open))
        .layer(axum::Extension(stop))
}

/// The body of a request, or why it could not be read, in ComfyUI's shape.
pub(super) fn read_body(body: Result<Bytes, BytesRejection>) -> Result<Bytes, Refusal> {
    body.map_err(|rejection| {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
            _ => "body_unreadable",
        };
        Refusal::new(rejection.status(), kind, rejection.body_text())
    })
}

pub(super) fn read_json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Refusal> {
    // An array would be read as an object's fields in their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err(Refusal::bad_request("invalid_json", "A JSON object is expected"));
    }
    serde_json::from_slice(body).map_err(|e| {
        Refusal::bad_request("invalid_json", "The body is not the JSON that this route takes")
            .details(e.to_string())
    })
}

/// Who is behind a connection, as far as an address tells.
pub(super) fn peer_of(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}
