//! `/prompt` (the count) and `/queue`, from our own ledger.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::extract::rejection::BytesRejection;
use axum::http::StatusCode;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use super::{App, Asker, Refusal, loose, read_body, read_json};
use crate::dispatch::Request;
use crate::event::Event;
use crate::id::JobId;
use crate::job::{Job, Place};
use crate::limits;
use crate::queue::Documents;
use crate::route::Book;

pub(super) async fn remaining(State(app): State<Arc<App>>) -> Json<Value> {
    Json(exec_info(app.queue.snapshot().len()))
}

pub(super) fn exec_info(remaining: usize) -> Value {
    json!({ "exec_info": { "queue_remaining": remaining } })
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Result<Json<Value>, Refusal> {
    // A semaphore that is never closed always gives its pass in the end.
    let _pass = app.large_answers.acquire().await;
    let ledger = app.queue.snapshot();
    let running = items(&app, ledger.dispatched()).await?;
    let pending = items(&app, ledger.waiting().take(limits::QUEUE_PAGE)).await?;
    Ok(Json(json!({ "queue_running": running, "queue_pending": pending })))
}

async fn items(app: &App, jobs: impl Iterator<Item = &Arc<Job>>) -> Result<Vec<Value>, Refusal> {
    let mut items = Vec::new();
    for job in jobs {
        // One that has ended since the snapshot was taken and was forgotten is simply no longer there.
        if let Some(documents) = app.queue.store().documents(job.id).await? {
            items.push(item(job.id, job.place, documents));
        }
    }
    Ok(items)
}

/// Keys with which the web interface lets a server spend its user's credits; ComfyUI shows them to nobody either.
const SECRETS: [&str; 2] = ["auth_token_comfy_org", "api_key_comfy_org"];

/// A job as `/queue` and `/history` show it.
pub(super) fn item(id: JobId, place: Place, documents: Documents) -> Value {
    let extra_data = without_secrets(documents.extra_data);
    json!([place.number_json(), id, documents.prompt, extra_data, documents.outputs_to_execute])
}

pub(super) fn without_secrets(mut extra_data: Map<String, Value>) -> Map<String, Value> {
    SECRETS.iter().for_each(|secret| drop(extra_data.shift_remove(*secret)));
    extra_data
}

#[derive(Deserialize)]
pub(super) struct Change {
    #[serde(default, deserialize_with = "loose::truth")]
    pub clear: bool,
    #[serde(default)]
    pub delete: Vec<String>,
}

/// Takes jobs out of the queue that do not run yet: those that are named, all of which must be the asker's to remove, or
/// all that are. 200 whether or not there were any, as ComfyUI answers.
pub(super) async fn change(
    State(app): State<Arc<App>>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let change: Change = read_json(&read_body(body)?)?;
    let ledger = app.queue.snapshot();
    let waiting = ledger.waiting().filter(|job| change.clear && asker.commands(job)).map(|job| job.id);
    let named = change.delete.iter().filter_map(|id| JobId::canonical(id));
    let named: Vec<&Arc<Job>> = named.filter_map(|job| ledger.get(job)).collect();
    named.iter().try_for_each(|job| command(&asker, job))?;
    // All are asked for before the first is waited for, so that they are written together.
    let mut answers = Vec::new();
    for job in waiting.chain(named.iter().map(|job| job.id)) {
        let (reply, taken_up) = oneshot::channel();
        ask(&app, Request::Remove { job, reply }).await?;
        answers.push(taken_up);
    }
    for taken_up in answers {
        taken_up.await.map_err(|_| stopping())??;
    }
    Ok(StatusCode::OK)
}

pub(in crate::api) fn command(asker: &Asker, job: &Job) -> Result<(), Refusal> {
    let message = || format!("job {} is somebody else's; a token with the role operate may stop it", job.id);
    let refusal = || Refusal::new(StatusCode::FORBIDDEN, "forbidden", message());
    asker.commands(job).then_some(()).ok_or_else(refusal)
}

/// All that dispatch's decisions look at, as it is now.
pub(crate) async fn look(app: &App) -> Result<Arc<Book>, Refusal> {
    let (reply, told) = oneshot::channel();
    ask(app, Request::Look { reply }).await?;
    told.await.map_err(|_| stopping())
}

pub(crate) async fn ask(app: &App, request: Request) -> Result<(), Refusal> {
    app.dispatch.requests.send(request).await.map_err(|_| stopping())
}

pub(crate) fn stopping() -> Refusal {
    Refusal::new(
        StatusCode::SERVICE_UNAVAILABLE,
        "stopping",
        "the collector is stopping; ask again once it is back",
    )
}

/// Tells every client when the number of jobs changes, as ComfyUI does: of jobs that have ended only once their clients
/// know it, who would else look for what seems lost.
pub(crate) async fn announce(app: Arc<App>, stop: CancellationToken) {
    let (mut ledger, mut ends) = (app.queue.ledger(), app.hub.ends());
    let mut told = ledger.borrow_and_update().len();
    loop {
        let is_end = tokio::select! {
            () = stop.cancelled() => return,
            changed = ledger.changed() => if changed.is_ok() { false } else { return },
            Ok(()) = ends.changed() => true,
        };
        let remaining = ledger.borrow_and_update().len();
        if remaining > told || (is_end && remaining < told) {
            told = remaining;
            app.hub.tell_all(&Event::status(remaining, None));
        }
    }
}
