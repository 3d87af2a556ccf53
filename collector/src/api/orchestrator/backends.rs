//! The fleet as it is known now.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Query, State};
use report::NodeMetrics;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::super::{App, Refusal};
use crate::address::without_password;
use crate::clock::UnixMillis;
use crate::fleet::{Backend, Health, Status};
use crate::id::BackendId;

#[derive(Serialize)]
pub(super) struct Shown {
    id: BackendId,
    url: String,
    agent_url: String,
    /// `unknown`, `up` or `down`.
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    since: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    agent_state: &'static str,
    takes_jobs: bool,
    /// Prompts in its own queue, whoever submitted them.
    #[serde(skip_serializing_if = "Option::is_none")]
    backlog: Option<u64>,
    /// The models of its last job, if believed loaded still.
    models: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metrics: Option<NodeMetrics>,
}

pub(super) async fn list(State(app): State<Arc<App>>) -> Json<Value> {
    let view = app.dispatch.view.borrow().clone();
    let models = |id: &BackendId| {
        let candidate = view.candidates.iter().find(|candidate| candidate.backend.id == *id);
        candidate.map(|candidate| candidate.resident.iter().cloned().collect()).unwrap_or_default()
    };
    let backends: Vec<Shown> = app.fleet().backends.iter().map(|b| shown(b, models(&b.id))).collect();
    Json(json!({ "backends": backends }))
}

fn shown(backend: &Backend, models: Vec<String>) -> Shown {
    let (state, since) = state(&backend.health);
    Shown {
        id: backend.id.clone(),
        url: without_password(&backend.url).into(),
        agent_url: without_password(&backend.agent_url).into(),
        state,
        since,
        reason: backend.health.reason.clone().or_else(|| backend.catalog_problem.clone()),
        agent_state: self::state(&backend.agent_health).0,
        takes_jobs: backend.takes_jobs(),
        backlog: backend.backlog.as_ref().map(|read| read.value.total),
        models,
        metrics: backend.agent.as_ref().map(|read| read.value.clone()),
    }
}

fn state(health: &Health) -> (&'static str, Option<UnixMillis>) {
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
        let all =
            fleet.backends.iter().filter_map(|b| Some((b.id.to_string(), json!(b.agent.as_ref()?.value))));
        return Ok(Json(Value::Object(all.collect())));
    };
    let backend = fleet.get(&id).ok_or_else(|| Refusal::not_found(format!("no backend is called {id}")))?;
    let reading = backend.agent.as_ref();
    let unknown =
        || Refusal::not_found(format!("the agent of {id} does not answer, so its figures are unknown"));
    reading.map(|read| Json(json!(read.value))).ok_or_else(unknown)
}
