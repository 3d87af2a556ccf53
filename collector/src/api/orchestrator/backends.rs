//! The fleet as it is known now.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State};
use report::NodeMetrics;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::super::{App, Refusal};
use super::free;
use super::gpu::Gpu;
use super::machine::Machine;
use super::openapi::Problem;
use crate::address::without_password;
use crate::clock::UnixMillis;
use crate::dispatch::View;
use crate::fleet::{Backend, Health, Status};
use crate::id::{BackendId, Tag};
use crate::queue::Ledger;
use crate::route::Candidate;

/// All backends.
#[derive(Serialize, ToSchema)]
pub(super) struct Backends {
    backends: Vec<Shown>,
}

/// One backend. What is not known is absent.
#[derive(Serialize, ToSchema)]
#[schema(as = Backend)]
pub(super) struct Shown {
    #[schema(value_type = String)]
    id: BackendId,
    url: String,
    agent_url: String,
    /// Words by which jobs may ask for it.
    #[schema(value_type = Vec<String>)]
    tags: BTreeSet<Tag>,
    /// `unknown`, `up` or `down`.
    state: &'static str,
    /// Since when, in milliseconds since 1970.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<UnixMillis>,
    /// Why it is down, or why what it offers cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    agent_state: &'static str,
    /// Whether a job can be handed to it now.
    takes_jobs: bool,
    /// While an operator wants it to get no new job.
    #[serde(skip_serializing_if = "Option::is_none")]
    drain: Option<Drain>,
    /// The collector's jobs that are with it.
    jobs: usize,
    /// Prompts in its own queue, whoever submitted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u64>,
    /// By its agent, else as ComfyUI tells.
    gpu: Gpu,
    /// The models of its last job, if believed loaded still.
    models: Vec<String>,
    /// What its agent says of the machine, in the old node's words.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<NodeMetrics>,
    #[serde(skip_serializing_if = "Option::is_none")]
    machine: Option<Machine>,
    /// The last times that it was asked to free memory since the collector's start, the newest first.
    frees: Vec<free::Past>,
    /// While it has not freed its memory twice in a row or more.
    #[serde(skip_serializing_if = "Option::is_none")]
    not_freed: Option<free::NotFreed>,
    /// Why it gets no job now though it is up.
    #[serde(skip_serializing_if = "Option::is_none")]
    rests: Option<Rests>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Rests {
    reason: String,
    /// In milliseconds since 1970; absent where it is not a matter of time.
    #[schema(value_type = Option<u64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<UnixMillis>,
}

#[derive(Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct Drain {
    /// `draining` while the collector's jobs are with it, `drained` afterwards.
    state: &'static str,
    /// Since when it gets no new job, in milliseconds since 1970.
    #[schema(value_type = u64)]
    since: UnixMillis,
}

/// The backends, in the order of the configuration, then those that were added since.
#[utoipa::path(get, path = "/orchestrator/v1/backends", tag = "backends",
    responses((status = 200, body = Backends)))]
pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Backends> {
    let (fleet, ledger, view) = (app.fleet(), app.queue.snapshot(), app.dispatch.view.borrow().clone());
    let (jobs, now) = (jobs_by_backend(&ledger), app.clock.now());
    let backends = fleet.backends.iter().map(|backend| Shown::of(backend, &jobs, &view, now)).collect();
    Json(Backends { backends })
}

/// One backend.
#[utoipa::path(get, path = "/orchestrator/v1/backends/{id}", tag = "backends",
    params(("id" = String, Path, description = "The backend's name")),
    responses((status = 200, body = Shown), (status = "4XX", body = Problem)))]
pub(super) async fn one(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Json<Shown>, Refusal> {
    Ok(Json(shown(&app, &*known(&app, &id)?)))
}

pub(super) fn known(app: &App, id: &str) -> Result<Arc<Backend>, Refusal> {
    let backend = app.fleet().backends.iter().find(|backend| backend.id.as_str() == id).cloned();
    backend.ok_or_else(|| Refusal::not_found(format!("no backend is called {id}")))
}

pub(super) fn shown(app: &App, backend: &Backend) -> Shown {
    let ledger = app.queue.snapshot();
    Shown::of(backend, &jobs_by_backend(&ledger), &app.dispatch.view.borrow(), app.clock.now())
}

/// How many of our jobs each backend has, of those that have any.
pub(super) fn jobs_by_backend(ledger: &Ledger) -> HashMap<&BackendId, usize> {
    let mut jobs = HashMap::new();
    for attempt in ledger.dispatched().filter_map(|job| job.attempt()) {
        *jobs.entry(&attempt.backend).or_default() += 1;
    }
    jobs
}

impl Shown {
    fn of(backend: &Backend, jobs: &HashMap<&BackendId, usize>, view: &View, now: UnixMillis) -> Self {
        let (state, since) = state(&backend.health);
        let candidate = view.candidates.iter().find(|candidate| candidate.backend.id == backend.id);
        let frees = view.frees.get(&backend.id);
        let jobs = jobs.get(&backend.id).copied().unwrap_or_default();
        Self {
            id: backend.id.clone(),
            url: without_password(&backend.url).into(),
            agent_url: without_password(&backend.agent_url).into(),
            tags: backend.tags.clone(),
            state,
            since,
            reason: backend.health.reason.clone().or_else(|| backend.catalog_problem.clone()),
            agent_state: self::state(&backend.agent_health).0,
            takes_jobs: backend.takes_jobs(),
            drain: drain(backend, jobs),
            jobs,
            backlog: backend.backlog.as_ref().map(|read| read.value.total),
            gpu: Gpu::of(backend, now),
            models: candidate.map(|its| its.resident.iter().cloned().collect()).unwrap_or_default(),
            metrics: backend.agent.as_ref().map(|read| read.value.document.clone()),
            machine: Machine::of(backend, now),
            frees: frees.map(|frees| free::Past::all(frees)).unwrap_or_default(),
            not_freed: frees.and_then(|frees| free::NotFreed::of(frees)),
            rests: candidate.and_then(|candidate| rests(candidate, now)),
        }
    }
}

fn rests(candidate: &Candidate, now: UnixMillis) -> Option<Rests> {
    let refusal = candidate.rests(now)?;
    let until = (candidate.rests_until > now).then_some(candidate.rests_until);
    Some(Rests { reason: refusal.to_string(), until })
}

pub(super) fn drain(backend: &Backend, jobs: usize) -> Option<Drain> {
    let state = if jobs == 0 { "drained" } else { "draining" };
    backend.draining_since.map(|since| Drain { state, since })
}

pub(super) fn state(health: &Health) -> (&'static str, Option<UnixMillis>) {
    match health.status {
        Status::Unknown => ("unknown", None),
        Status::Up { since } => ("up", Some(since)),
        Status::Down { since, .. } => ("down", Some(since)),
    }
}

#[derive(Deserialize)]
pub(super) struct Which {
    backend: Option<BackendId>,
}

/// One agent's document, or those of all that answer, by backend.
pub(super) async fn agents(
    State(app): State<Arc<App>>,
    Query(which): Query<Which>,
) -> Result<Json<Value>, Refusal> {
    let fleet = app.fleet();
    let Some(id) = which.backend else {
        let all = fleet
            .backends
            .iter()
            .filter_map(|b| Some((b.id.to_string(), json!(b.agent.as_ref()?.value.document))));
        return Ok(Json(Value::Object(all.collect())));
    };
    let backend = fleet.get(&id).ok_or_else(|| Refusal::not_found(format!("no backend is called {id}")))?;
    let reading = backend.agent.as_ref();
    let unknown =
        || Refusal::not_found(format!("the agent of {id} does not answer, so its figures are unknown"));
    reading.map(|read| Json(json!(read.value.document))).ok_or_else(unknown)
}
