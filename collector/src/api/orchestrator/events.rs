//! `/orchestrator/v1/events`: the feed for a dashboard. Nothing is buffered for a client: one that reads too slowly gets
//! the whole anew instead of what it missed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::super::auth::Asker;
use super::super::{App, Refusal};
use super::openapi::Problem;
use super::{feed, stream as sse};
use crate::event::{Reader, Told};

/// Changes of the fleet and the queue as they happen. `resync` comes first and whenever something was missed, and holds
/// everything: `backends` and `counts`; then `backend`, `backend_removed`, `counts` and `job` tell what changed.
#[utoipa::path(get, path = "/orchestrator/v1/events", tag = "events",
    params(("Last-Event-ID" = Option<String>, Header, description = "Go on after this one")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 503, body = Problem)))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Extension(stop): Extension<CancellationToken>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let place = sse::place(&app)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let following = Following { reader: app.journal.read(last), app, _place: place };
    Ok(sse::answer(stream::unfold(following, Following::next), asker, stop))
}

struct Following {
    app: Arc<App>,
    reader: Reader,
    _place: OwnedSemaphorePermit,
}

impl Following {
    async fn next(mut self) -> Option<(Event, Self)> {
        let event = match self.reader.next().await {
            Told::News(news) => Event::default().event(news.kind).data(&*news.text),
            // What changes while it is being looked up is told once more afterwards.
            Told::BeginAnew => Event::default().event("resync").data(feed::whole(&self.app).to_string()),
        };
        Some((event.id(self.reader.id()), self))
    }
}
