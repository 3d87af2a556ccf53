//! The queue as it is expected to be worked off: what runs, and what waits, each with where and when.

use std::collections::{BTreeSet, HashSet};
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use comfyui::needs::Work;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::super::comfyui::look;
use super::super::{App, Refusal};
use super::live::Progress;
use super::openapi::Problem;
use crate::clock::UnixMillis;
use crate::id::{BackendId, ClientId, JobId};
use crate::job::{Job, Wishes};
use crate::limits;
use crate::queue::Ledger;
use crate::route::{Book, Expected, Forecast, Outlook};

#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    client: Option<String>,
    model: Option<String>,
    limit: Option<usize>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Queue {
    #[schema(value_type = u64)]
    at: UnixMillis,
    /// Those with a backend, in the order of their places.
    running: Vec<Live>,
    /// Those that wait, in the order in which they are expected to begin; those that no backend can run now are last.
    waiting: Vec<Live>,
    /// How many wait in all.
    waiting_count: usize,
    /// Of how many of these it was worked out when they begin; of those behind them it is not known.
    foreseen_count: usize,
}

/// A job that waits or runs. Times are in milliseconds since 1970, expectations in seconds from now.
#[derive(Serialize, ToSchema)]
struct Live {
    #[schema(value_type = String)]
    id: JobId,
    #[schema(value_type = f64)]
    number: serde_json::Number,
    #[schema(value_type = u64)]
    submitted_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    client: Option<ClientId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    attempts: u32,
    /// What it asks for beside being run.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Wishes::is_empty")]
    wishes: Wishes,
    models: BTreeSet<String>,
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Work::is_unknown")]
    work: Work,
    /// Where it is, or is expected to run.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    backend: Option<BackendId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_in_seconds: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ends_in_seconds: Option<f64>,
    /// Why it waits, in one sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// How far it is, of one that a backend has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    progress: Option<Progress>,
}

/// What runs and what waits, in the order expected now, each with where it is expected to run, when, and why it waits.
#[utoipa::path(get, path = "/orchestrator/v1/queue", tag = "jobs",
    params(("client" = Option<String>, Query, description = "Only jobs of this client_id"),
           ("model" = Option<String>, Query, description = "Only jobs that load this model"),
           ("limit" = Option<usize>, Query, description = "Waiting jobs to be told: 1 to 1000; 100 where absent")),
    responses((status = 200, body = Queue), (status = "4XX", body = Problem)))]
pub(super) async fn queue(
    State(app): State<Arc<App>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Queue>, Refusal> {
    let Query(asked) = asked.map_err(|e| Refusal::bad_request("bad_query", e.body_text()))?;
    let limit = asked.limit.unwrap_or(limits::JOBS_PAGE_UNASKED as usize);
    if !(1..=limits::JOBS_PAGE as usize).contains(&limit) {
        let message = format!("limit is {limit}; allowed are 1 to {}", limits::JOBS_PAGE);
        return Err(Refusal::bad_request("bad_limit", message));
    }
    // It takes as long as many decisions do, which is too long for the async threads.
    let book = look(&app).await?;
    let told = tokio::task::spawn_blocking(move || tell(&app, &book, &asked, limit)).await;
    let internal = |e: tokio::task::JoinError| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string())
    };
    told.map(Json).map_err(internal)
}

fn tell(app: &App, book: &Book, asked: &Asked, limit: usize) -> Queue {
    let (ledger, now) = (app.queue.snapshot(), app.clock.now());
    let forecasts = book.forecast(ledger.waiting(), now);
    let running = ledger.dispatched().filter(|job| asked.is_met_by(job)).map(|job| running(app, job));
    Queue {
        at: now,
        running: running.collect(),
        waiting: waiting(&ledger, &forecasts, asked, limit),
        waiting_count: ledger.waiting_len(),
        foreseen_count: forecasts.len(),
    }
}

/// The forecasts come in the order in which jobs are expected to begin.
fn waiting(ledger: &Ledger, forecasts: &[Forecast], asked: &Asked, limit: usize) -> Vec<Live> {
    let foreseen: HashSet<JobId> = forecasts.iter().map(|forecast| forecast.job).collect();
    let known = forecasts.iter().filter_map(|forecast| {
        let job = ledger.get(forecast.job).filter(|job| job.is_waiting())?;
        Some((job, Some(&forecast.outlook)))
    });
    let rest = ledger.waiting().filter(|job| !foreseen.contains(&job.id)).map(|job| (job, None));
    let jobs = known.chain(rest).filter(|(job, _)| asked.is_met_by(job));
    jobs.take(limit).map(|(job, outlook)| self::foreseen(job, outlook)).collect()
}

impl Asked {
    fn is_met_by(&self, job: &Job) -> bool {
        let is_of = |client: &str| job.client_id.as_ref().is_some_and(|of| of.as_str() == client);
        let loads = |model: &str| job.needs.assets.iter().any(|asset| asset.name == model);
        self.client.as_deref().is_none_or(is_of) && self.model.as_deref().is_none_or(loads)
    }
}

impl Live {
    fn of(job: &Job) -> Self {
        Self {
            id: job.id,
            number: job.place.number_json(),
            submitted_at: job.submitted_at,
            client: job.client_id.clone(),
            owner: job.owner.clone(),
            attempts: job.attempts,
            wishes: Wishes::clone(&job.wishes),
            models: job.needs.models().0,
            work: job.needs.work.clone(),
            backend: None,
            starts_in_seconds: None,
            ends_in_seconds: None,
            why: None,
            progress: None,
        }
    }
}

fn foreseen(job: &Job, outlook: Option<&Outlook>) -> Live {
    let tenths = |seconds: f64| (seconds * 10.0).round() / 10.0;
    let why = outlook.map(ToString::to_string);
    match outlook {
        Some(Outlook::Somewhere(Expected { backend, starts_in_seconds, ends_in_seconds, .. })) => Live {
            backend: Some(backend.clone()),
            starts_in_seconds: Some(tenths(*starts_in_seconds)),
            ends_in_seconds: Some(tenths(*ends_in_seconds)),
            why,
            ..Live::of(job)
        },
        _ => Live { why, ..Live::of(job) },
    }
}

fn running(app: &App, job: &Job) -> Live {
    let view = app.dispatch.view.borrow().clone();
    let running = view.running.get(&job.id);
    Live {
        backend: job.attempt().map(|attempt| attempt.backend.clone()),
        ends_in_seconds: running.map(|running| running.left_seconds.round()),
        progress: running.map(|running| Progress::of(app, job.id, running)),
        ..Live::of(job)
    }
}
