//! `/orchestrator/v1/jobs/{id}/events`: one job from where it stands to its end. Its state is looked up, never
//! remembered, so nothing of it can be missed; its progress is what ComfyUI's clients are told.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Path, State};
use axum::response::Response;
use axum::response::sse;
use futures_util::stream;
use serde::Serialize;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use super::super::auth::Asker;
use super::super::{App, Refusal};
use super::openapi::Problem;
use super::stream as events;
use crate::clock::UnixMillis;
use crate::event::{Event, Watcher};
use crate::id::{BackendId, JobId};
use crate::queue::{JobChanged, Ledger, StoreError};

/// Where a job stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
struct Standing {
    id: JobId,
    /// `waiting`, `dispatched`, how it ended, or `forgotten`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<BackendId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<UnixMillis>,
}

/// Follows a job. `state` comes first and at each change, the last one with its end; between them `progress` holds what
/// ComfyUI tells on its WebSocket, `{type, data}`; `resync` says that some of that was lost.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}/events", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, content_type = "text/event-stream", body = String), (status = "4XX", body = Problem),
              (status = 503, body = Problem)))]
pub(super) async fn follow(
    State(app): State<Arc<App>>,
    Extension(stop): Extension<CancellationToken>,
    Extension(asker): Extension<Asker>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let unknown = || Refusal::not_found(format!("no job has the id {id}"));
    let job = JobId::canonical(&id).ok_or_else(unknown)?;
    // It is watched before it is looked up, so that nothing comes in between.
    let (ledger, watcher) = (app.queue.ledger(), app.hub.watch(job));
    let place = events::place(&app)?;
    if standing(&app, job).await?.state == FORGOTTEN {
        return Err(unknown());
    }
    let following = Following { app, job, ledger, watcher, told: None, is_over: false, _place: place };
    Ok(events::answer(stream::unfold(following, Following::next), asker, stop))
}

const FORGOTTEN: &str = "forgotten";

async fn standing(app: &App, id: JobId) -> Result<Standing, StoreError> {
    let live = app.queue.snapshot().get(id).map(|job| JobChanged::of(job));
    if let Some(JobChanged { state, attempt, .. }) = live {
        let (backend, attempt) = attempt.unzip();
        return Ok(Standing { id, state: state.as_str(), backend, attempt, ended_at: None });
    }
    let ended = app.queue.store().ended(id).await?;
    let (state, ended_at) =
        ended.map_or((FORGOTTEN, None), |ended| (ended.outcome.as_str(), Some(ended.ended_at)));
    Ok(Standing { id, state, backend: None, attempt: None, ended_at })
}

struct Following {
    app: Arc<App>,
    job: JobId,
    ledger: watch::Receiver<Arc<Ledger>>,
    watcher: Watcher,
    told: Option<Standing>,
    is_over: bool,
    _place: OwnedSemaphorePermit,
}

impl Following {
    /// `None` after the end, and where the store fails: a client that comes back begins with where the job stands.
    async fn next(mut self) -> Option<(sse::Event, Self)> {
        if self.is_over {
            return None;
        }
        let mut look = self.told.is_none();
        loop {
            if look && let Some(event) = self.look().await? {
                return Some((event, self));
            }
            look = tokio::select! {
                biased;
                event = self.watcher.next() => match self.show(event) {
                    Some(event) => return Some((event, self)),
                    None => false,
                },
                changed = self.ledger.changed() => changed.map(|()| true).ok()?,
            };
        }
    }

    /// Its state, if it is another than the one that was told.
    async fn look(&mut self) -> Option<Option<sse::Event>> {
        let now = standing(&self.app, self.job).await.ok()?;
        if self.told.as_ref() == Some(&now) {
            return Some(None);
        }
        self.is_over = !matches!(now.state, "waiting" | "dispatched");
        let event = sse::Event::default().event("state").json_data(&now).ok()?;
        self.told = Some(now);
        Some(Some(event))
    }

    /// Pictures are not for a stream of text.
    fn show(&mut self, event: Option<Event>) -> Option<sse::Event> {
        match event {
            Some(Event::Text { text, .. }) => {
                Some(sse::Event::default().event("progress").data(text.as_str()))
            }
            Some(Event::Preview { .. }) => None,
            None => {
                self.watcher = self.app.hub.watch(self.job);
                Some(sse::Event::default().event("resync").data("{}"))
            }
        }
    }
}
