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
use crate::dispatch::{Request, View};
use crate::fleet::Backend;
use crate::id::BackendId;
use crate::limits;
use crate::route::free::{Free, Frees, Outcome, Reading};

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
    /// `freed`; `pending`: a job runs that comes first, or figures have not settled; `not_freed`; `unverified`: no figure
    /// tells, or a job began before one did.
    outcome: &'static str,
    /// Whether figures show that memory was freed.
    proved: bool,
    /// How much less is in use.
    #[serde(skip_serializing_if = "Option::is_none")]
    freed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_before: Option<Vram>,
    /// Read after it was accepted, from the same source.
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_after: Option<Vram>,
}

/// A GPU's memory in use.
#[derive(Clone, Serialize, ToSchema)]
struct Vram {
    used_bytes: u64,
    /// In milliseconds since 1970.
    #[schema(value_type = u64)]
    at: UnixMillis,
    /// `agent`, or `system_stats` of ComfyUI.
    source: &'static str,
}

/// One time that the backend was asked to free memory.
#[derive(Clone, Serialize, ToSchema)]
pub(super) struct Past {
    /// In milliseconds since 1970.
    #[schema(value_type = u64)]
    at: UnixMillis,
    /// `idle`, `others` (other programs want the GPU), `host_memory` (main memory runs short), `out_of_memory`, `before_job` or
    /// `asked`.
    reason: &'static str,
    /// `pending`, `freed`, `not_freed`, `unverified` or `failed` (it could not be asked).
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    freed_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_before: Option<Vram>,
    #[serde(skip_serializing_if = "Option::is_none")]
    vram_after: Option<Vram>,
}

/// A backend that does not free its memory.
#[derive(Serialize, ToSchema)]
pub(super) struct NotFreed {
    times_in_a_row: u32,
    /// When it is tried again unasked, in milliseconds since 1970.
    #[schema(value_type = u64)]
    next_at: UnixMillis,
}

impl Vram {
    fn of(reading: Reading) -> Self {
        Self { used_bytes: reading.used_bytes, at: reading.at, source: reading.source.label() }
    }
}

impl Past {
    fn of(free: &Free) -> Self {
        Self {
            at: free.at,
            reason: free.reason.label(),
            outcome: free.outcome.label(),
            freed_bytes: free.freed_bytes(),
            vram_before: free.before.map(Vram::of),
            vram_after: free.after.map(Vram::of),
        }
    }

    /// The newest first.
    pub(super) fn all(frees: &Frees) -> Vec<Self> {
        frees.last().rev().map(Self::of).collect()
    }
}

impl NotFreed {
    pub(super) fn of(frees: &Frees) -> Option<Self> {
        frees.fails().map(|(times_in_a_row, next_at)| Self { times_in_a_row, next_at })
    }
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
    let number = ask_dispatch(&app, &backend, FreeRequest { unload_models, free_memory }).await?;
    let free = outcome(&app, &backend.id, number).await;
    let proved = free.as_ref().is_some_and(|free| free.outcome == Outcome::Freed);
    let status = if proved { StatusCode::OK } else { StatusCode::ACCEPTED };
    let freed = Freed {
        backend: backend.id.clone(),
        outcome: free.as_ref().map_or(Outcome::Pending, |free| free.outcome).label(),
        proved,
        freed_bytes: free.as_ref().and_then(Free::freed_bytes),
        vram_before: free.as_ref().and_then(|free| free.before).map(Vram::of),
        vram_after: free.as_ref().and_then(|free| free.after).map(Vram::of),
    };
    Ok((status, Json(freed)))
}

async fn ask_dispatch(app: &App, backend: &Backend, request: FreeRequest) -> Result<u64, Refusal> {
    if !backend.health.is_up() {
        let message = format!("{} does not answer, so it cannot be asked to free its memory", backend.id);
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "backend_down", message));
    }
    let (reply, answer) = oneshot::channel();
    ask(app, Request::FreeOne { backend: backend.id.clone(), request, reply }).await?;
    let answer = answer.await.map_err(|_| stopping())?;
    answer.map_err(|reason| Refusal::new(StatusCode::BAD_GATEWAY, "backend_refused", reason))
}

/// What dispatch saw come of it, within the bound; what it is by then, where that is longer.
async fn outcome(app: &App, id: &BackendId, number: u64) -> Option<Free> {
    let find = |view: &View| view.frees.get(id)?.last().find(|free| free.number == number).cloned();
    let mut view = app.dispatch.view.clone();
    let is_over = |view: &Arc<View>| find(view).is_some_and(|free| free.outcome != Outcome::Pending);
    // At the bound it is pending.
    let _ = tokio::time::timeout(limits::FREED_ANSWER_WITHIN, view.wait_for(is_over)).await;
    find(&app.dispatch.view.borrow())
}
