//! `text/event-stream`: how an answer goes on until its subject ends, its client leaves or loses its token, or the program
//! stops.

use std::convert::Infallible;
use std::sync::Arc;

use axum::http::{HeaderName, StatusCode};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::{Stream, StreamExt};
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::super::auth::Asker;
use super::super::{App, Refusal};
use crate::limits;

/// A place among those who may follow at once; it is given back when the stream is dropped.
pub(super) fn place(app: &App) -> Result<OwnedSemaphorePermit, Refusal> {
    let full = |_| Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_followers", FULL);
    Arc::clone(&app.followers).try_acquire_owned().map_err(full)
}

const FULL: &str = "too many clients follow jobs or the fleet already; close some, or ask again later";

/// A proxy that gathers the answer before it passes it on would keep progress from its client.
const UNBUFFERED: (HeaderName, &str) = (HeaderName::from_static("x-accel-buffering"), "no");

pub(super) fn answer(
    events: impl Stream<Item = Event> + Send + 'static,
    mut asker: Asker,
    stop: CancellationToken,
) -> Response {
    let end = async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = asker.lost() => {}
        }
    };
    let events = events.take_until(Box::pin(end)).map(Ok::<_, Infallible>);
    let keep_alive = KeepAlive::new().interval(limits::KEEP_ALIVE_EVERY);
    ([UNBUFFERED], Sse::new(events).keep_alive(keep_alive)).into_response()
}
