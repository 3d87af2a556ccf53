//! `/orchestrator/v1/events`: the feed for a dashboard. Nothing is buffered for a client: one that reads too slowly gets
//! the whole anew instead of what it missed.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use axum::response::sse::Event;
use futures_util::stream;
use serde::Deserialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::super::auth::Asker;
use super::super::{App, Refusal};
use super::openapi::Problem;
use super::{feed, live, stream as sse};
use crate::event::{Reader, Told};

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(default)]
    live: bool,
}

/// Changes of the fleet and the queue as they happen. `resync` comes first and whenever something was missed, and holds
/// everything: `backends` and `counts`; then `backend`, `backend_removed`, `counts` and `job` tell what changed.
///
/// With `live` there comes `live` once a second besides: the figures of all GPUs and how far running jobs are.
#[utoipa::path(get, path = "/orchestrator/v1/events", tag = "events",
    params(("live" = Option<bool>, Query, description = "Figures once a second, too"),
           ("Last-Event-ID" = Option<String>, Header, description = "Go on after this one")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = 503, body = Problem)))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Extension(stop): Extension<CancellationToken>,
    Extension(asker): Extension<Asker>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let place = sse::place(&app)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let live = asked.live.then(|| app.live.subscribe());
    let following = Following { reader: app.journal.read(last), live, is_new: true, app, _place: place };
    Ok(sse::answer(stream::unfold(following, Following::next), asker, stop))
}

struct Following {
    app: Arc<App>,
    reader: Reader,
    live: Option<watch::Receiver<Arc<str>>>,
    /// It was told no figures yet.
    is_new: bool,
    _place: OwnedSemaphorePermit,
}

impl Following {
    async fn next(mut self) -> Option<(Event, Self)> {
        let event = tokio::select! {
            biased;
            told = self.reader.next() => self.told(told),
            figures = figures(&self.app, self.live.as_mut(), self.is_new) => {
                self.is_new = false;
                Event::default().event("live").data(&*figures?)
            }
        };
        Some((event, self))
    }

    fn told(&self, told: Told) -> Event {
        let event = match told {
            Told::News(news) => Event::default().event(news.kind).data(&*news.text),
            // What changes while it is being looked up is told once more afterwards.
            Told::BeginAnew => Event::default().event("resync").data(feed::whole(&self.app).to_string()),
        };
        event.id(self.reader.id())
    }
}

/// The newest ones, at once for whoever is new. They are no news that could be gone on after, so they have no id.
async fn figures(app: &App, live: Option<&mut watch::Receiver<Arc<str>>>, is_new: bool) -> Option<Arc<str>> {
    let Some(live) = live else { return std::future::pending().await };
    if is_new {
        return Some(live::now(app));
    }
    // The sender is gone only when the program ends.
    live.changed().await.ok()?;
    Some(Arc::clone(&live.borrow_and_update()))
}
