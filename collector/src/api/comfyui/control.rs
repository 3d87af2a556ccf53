//! `/interrupt` and `/free`. Both answer as soon as dispatch has taken the request up, as ComfyUI's own do.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Extension;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::StatusCode;
use comfyui::api::FreeRequest;
use serde::Deserialize;
use serde::de::IgnoredAny;
use tokio::sync::oneshot;

use super::queue::{ask, command, stopping};
use super::{App, Asker, Refusal, loose, peer_of, read_body, read_json};
use crate::dispatch::Request;
use crate::id::{BackendId, JobId};
use crate::job::Job;

#[derive(Default, Deserialize)]
struct Interrupt {
    prompt_id: Option<String>,
}

/// With an id: that job, wherever it is. Without: what runs for the caller, told by its token, or by its address where
/// there are no tokens. A body that is no JSON is none, as for ComfyUI.
pub(super) async fn interrupt(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let body = read_body(body)?;
    let is_json = serde_json::from_slice::<IgnoredAny>(&body).is_ok();
    let asked: Interrupt = if is_json { read_json(&body)? } else { Interrupt::default() };
    let jobs = match asked.prompt_id {
        Some(id) => named(&app, &asker, &id)?,
        None => running_for(&app, &asker, peer_of(address)),
    };
    for job in jobs {
        let (reply, taken_up) = oneshot::channel();
        ask(&app, Request::Interrupt { job, reply }).await?;
        taken_up.await.map_err(|_| stopping())??;
    }
    Ok(StatusCode::OK)
}

fn named(app: &App, asker: &Asker, id: &str) -> Result<Vec<JobId>, Refusal> {
    let ledger = app.queue.snapshot();
    let Some(job) = JobId::canonical(id).and_then(|job| ledger.get(job)) else { return Ok(Vec::new()) };
    command(asker, job)?;
    Ok(vec![job.id])
}

fn running_for(app: &App, asker: &Asker, peer: IpAddr) -> Vec<JobId> {
    let is_own = |job: &Job| match asker.name() {
        Some(name) => job.owner.as_deref() == Some(name),
        None => job.peer == Some(peer),
    };
    let ledger = app.queue.snapshot();
    ledger.dispatched().filter(|job| is_own(job)).map(|job| job.id).collect()
}

#[derive(Deserialize)]
struct Free {
    backend: Option<String>,
    #[serde(default, deserialize_with = "loose::truth")]
    unload_models: bool,
    #[serde(default, deserialize_with = "loose::truth")]
    free_memory: bool,
}

/// To all backends that are up, or to the one that is named.
pub(super) async fn free(
    State(app): State<Arc<App>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<StatusCode, Refusal> {
    let asked: Free = read_json(&read_body(body)?)?;
    let backend = asked.backend.map(|name| known(&app, &name)).transpose()?;
    let request = FreeRequest { unload_models: asked.unload_models, free_memory: asked.free_memory };
    if request.unload_models || request.free_memory {
        ask(&app, Request::Free { backend, request }).await?;
    }
    Ok(StatusCode::OK)
}

fn known(app: &App, name: &str) -> Result<BackendId, Refusal> {
    let fleet = app.fleet();
    let names: Vec<&str> = fleet.backends.iter().map(|backend| backend.id.as_str()).collect();
    let unknown = || {
        let message = format!("no backend is called {name:?}; there are {}", names.join(", "));
        Refusal::bad_request("unknown_backend", message)
    };
    let id: BackendId = name.parse().map_err(|_| unknown())?;
    fleet.get(&id).map(|backend| backend.id.clone()).ok_or_else(unknown)
}
