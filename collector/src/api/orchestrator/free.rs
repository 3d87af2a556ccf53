//! Freeing one backend's memory, and what came of it: ComfyUI only notes the wish and answers, so whether memory was
//! freed is read off the figures that come after.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use comfyui::api::FreeRequest;
use serde::{Deserialize, Serialize};
use tokio::sync::oneshot;
use utoipa::ToSchema;

use super::super::comfyui::{ask, read_body, read_json, stopping};
use super::super::{App, Refusal};
use super::backends::known;
use super::openapi::Problem;
use crate::clock::UnixMillis;
use crate::dispatch::Request;
use crate::fleet::Backend;
use crate::id::BackendId;
use crate::limits;

/// What is to be freed.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Wish {
    /// The models that it has loaded.
    #[serde(default)]
    unload_models: bool,
    /// Its cache of results too.
    #[serde(default)]
    free_memory: bool,
}

/// What came of it: ComfyUI has accepted it.
#[derive(Serialize, ToSchema)]
pub(super) struct Freed {
    #[schema(value_type = String)]
    backend: BackendId,
    /// Whether figures show that memory was freed. False proves nothing: there may have been nothing to free, a job may
    /// run that comes first, or nothing tells.
    proved: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_before: Option<Vram>,
    /// Read after it was accepted, from the same source.
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_after: Option<Vram>,
}

/// A GPU's memory in use.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Vram {
    used_bytes: u64,
    /// In milliseconds since 1970.
    #[schema(value_type = u64)]
    at: UnixMillis,
    /// `agent`, or `system_stats` of ComfyUI.
    source: Source,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Source {
    Agent,
    SystemStats,
}

/// Frees a backend's memory: 200 when figures show it, 202 when it was accepted and nothing proves it in time.
#[utoipa::path(post, path = "/orchestrator/v1/backends/{id}/free", tag = "backends", request_body = Wish,
    params(("id" = String, Path, description = "The backend's name")),
    responses((status = 200, body = Freed), (status = 202, body = Freed), (status = "4XX", body = Problem),
              (status = 502, body = Problem, description = "The backend refused or did not answer")))]
pub(super) async fn free(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Freed>), Refusal> {
    let Wish { unload_models, free_memory } = read_json(&read_body(body)?)?;
    if !unload_models && !free_memory {
        let message = "nothing is to be freed: set unload_models, free_memory or both to true";
        return Err(Refusal::bad_request("nothing_to_free", message));
    }
    let backend = known(&app, &id)?;
    let before = Source::best(&backend);
    ask_dispatch(&app, &backend, FreeRequest { unload_models, free_memory }).await?;
    let after = match before {
        Some(before) => after(&app, &backend.id, before).await,
        None => None,
    };
    let proved =
        matches!((before, after), (Some(before), Some(after)) if after.used_bytes < before.used_bytes);
    let status = if proved { StatusCode::OK } else { StatusCode::ACCEPTED };
    let freed = Freed { backend: backend.id.clone(), proved, vram_before: before, vram_after: after };
    Ok((status, Json(freed)))
}

async fn ask_dispatch(app: &App, backend: &Backend, request: FreeRequest) -> Result<(), Refusal> {
    if !backend.health.is_up() {
        let message = format!("{} does not answer, so it cannot be asked to free its memory", backend.id);
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "backend_down", message));
    }
    let (reply, answer) = oneshot::channel();
    ask(app, Request::FreeOne { backend: backend.id.clone(), request, reply }).await?;
    let answer = answer.await.map_err(|_| stopping())?;
    answer.map_err(|reason| Refusal::new(StatusCode::BAD_GATEWAY, "backend_refused", reason))
}

/// The first reading after now that shows less, else the last one within the bound.
async fn after(app: &App, id: &BackendId, before: Vram) -> Option<Vram> {
    let (accepted_at, mut fleet, mut last) = (app.clock.now(), app.fleet.clone(), None);
    let fallen = async {
        loop {
            let now = fleet.borrow_and_update().get(id).cloned();
            last = now.and_then(|now| before.source.read(&now)).filter(|read| read.at > accepted_at);
            if last.is_some_and(|read| read.used_bytes < before.used_bytes) || fleet.changed().await.is_err()
            {
                return;
            }
        }
    };
    // At the bound the last reading is the answer.
    let _ = tokio::time::timeout(limits::FREED_WITHIN, fallen).await;
    last
}

impl Source {
    fn best(backend: &Backend) -> Option<Vram> {
        Self::Agent.read(backend).or_else(|| Self::SystemStats.read(backend))
    }

    fn read(self, backend: &Backend) -> Option<Vram> {
        let (used_bytes, at) = match self {
            Self::Agent => {
                let gpu = backend.agent.as_ref()?.value.gpus.first()?;
                (gpu.used_bytes?, gpu.at)
            }
            Self::SystemStats => {
                let read = backend.stats.as_ref()?;
                let device = read.value.devices.first()?;
                (device.vram_total?.saturating_sub(device.vram_free?), read.at)
            }
        };
        Some(Vram { used_bytes, at, source: self })
    }
}
