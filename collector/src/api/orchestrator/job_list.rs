//! All jobs, those that wait and run and those that have ended, newest first and page by page.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use comfyui::needs::Work;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::{App, Refusal};
use super::openapi::Problem;
use crate::clock::UnixMillis;
use crate::id::{BackendId, BadBackendId, ClientId, JobId};
use crate::job::{BadStanding, Standing};
use crate::limits;
use crate::queue::{Cursor, Filter, ListedJob, Sort, Window};

/// What the list is asked for by. A filter that is absent lets all pass.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Asked {
    /// One state or several with commas between.
    state: Option<String>,
    /// The `client_id` that it was submitted with.
    client: Option<String>,
    /// Where it runs or ran last.
    backend: Option<String>,
    /// A model that its prompt loads, by the name that stands in the prompt.
    model: Option<String>,
    /// 1 to [`limits::JOBS_PAGE`]; absent: [`limits::JOBS_PAGE_UNASKED`].
    limit: Option<u64>,
    /// The `next` of the page before.
    cursor: Option<String>,
}

#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    jobs: Vec<Shown>,
    /// Asks for the page after this one, as `cursor`; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// A job. Times are in milliseconds since 1970.
#[derive(Serialize, ToSchema)]
#[schema(as = ListedJob)]
struct Shown {
    #[schema(value_type = String)]
    id: JobId,
    /// `waiting`, `dispatched`, `succeeded`, `failed`, `interrupted` (while it ran), `cancelled` (before it ran).
    #[schema(value_type = String)]
    state: Standing,
    /// ComfyUI's `number`: the lower goes first.
    #[schema(value_type = f64)]
    number: serde_json::Number,
    #[schema(value_type = u64)]
    submitted_at: UnixMillis,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<u64>)]
    ended_at: Option<UnixMillis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    client: Option<ClientId>,
    /// The name of the token that it was submitted with.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    /// Where it runs or ran last; absent before the first attempt.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    backend: Option<BackendId>,
    attempts: u32,
    /// What its prompt loads.
    models: BTreeSet<String>,
    /// Width, height, steps and more, as far as its prompt tells.
    #[schema(value_type = Object)]
    #[serde(skip_serializing_if = "Work::is_unknown")]
    work: Work,
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow_id: Option<String>,
    /// Files that it made; absent while it has not ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    outputs_count: Option<u64>,
    /// The file that stands for all of them: `filename`, `subfolder` and `type` as `/view` takes them, and `mediaType`.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    preview: Option<Map<String, Value>>,
    /// Why it failed, in one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// All jobs, those that wait and run and those that have ended, newest first.
#[utoipa::path(get, path = "/orchestrator/v1/jobs", tag = "jobs",
    params(("state" = Option<String>, Query, description = "One state or several with commas between"),
           ("client" = Option<String>, Query, description = "The client_id that it was submitted with"),
           ("backend" = Option<String>, Query, description = "Where it runs or ran last"),
           ("model" = Option<String>, Query, description = "A model that its prompt loads"),
           ("limit" = Option<u64>, Query, description = "1 to 1000; 100 where absent"),
           ("cursor" = Option<String>, Query, description = "The `next` of the page before")),
    responses((status = 200, body = Page), (status = "4XX", body = Problem)))]
pub(super) async fn list(
    State(app): State<Arc<App>>,
    asked: Result<Query<Asked>, QueryRejection>,
) -> Result<Json<Page>, Refusal> {
    let Query(asked) = asked.map_err(|e| bad("bad_query", e.body_text()))?;
    let window = asked.window()?;
    let jobs = app.queue.store().list(&asked.filter()?, &window).await?;
    let is_full = jobs.len() as u64 == window.limit;
    let next = jobs.last().filter(|_| is_full).map(|last| written(last.cursor()));
    Ok(Json(Page { jobs: jobs.into_iter().map(shown).collect(), next }))
}

impl Asked {
    fn filter(&self) -> Result<Filter, Refusal> {
        let states = |text: &str| text.split(',').map(|name| name.trim().parse()).collect();
        let standings: Result<Option<Vec<Standing>>, BadStanding> =
            self.state.as_deref().map(states).transpose();
        let backend: Result<Option<BackendId>, BadBackendId> =
            self.backend.as_deref().map(str::parse).transpose();
        Ok(Filter {
            standings: standings.map_err(|e| bad("bad_state", e.to_string()))?,
            workflow_id: None,
            client: self.client.as_deref().map(ClientId::new),
            backend: backend.map_err(|e| bad("bad_backend", e.to_string()))?,
            model: self.model.clone(),
        })
    }

    fn window(&self) -> Result<Window, Refusal> {
        let limit = self.limit.unwrap_or(limits::JOBS_PAGE_UNASKED);
        if !(1..=limits::JOBS_PAGE).contains(&limit) {
            let message = format!("limit is {limit}; allowed are 1 to {}", limits::JOBS_PAGE);
            return Err(bad("bad_limit", message));
        }
        let unreadable =
            || bad("bad_cursor", "the cursor is none of this list; take it from `next` of the page before");
        let before = self.cursor.as_deref().map(|text| read(text).ok_or_else(unreadable)).transpose()?;
        Ok(Window { sort: Sort::Submitted, ascending: false, before, limit, offset: 0 })
    }
}

fn bad(kind: &'static str, message: impl Into<String>) -> Refusal {
    Refusal::bad_request(kind, message)
}

fn written(cursor: Cursor) -> String {
    format!("{}-{}", cursor.submitted_at.0, cursor.arrival)
}

fn read(text: &str) -> Option<Cursor> {
    let (submitted_at, arrival) = text.split_once('-')?;
    Some(Cursor { submitted_at: UnixMillis(submitted_at.parse().ok()?), arrival: arrival.parse().ok()? })
}

fn shown(job: ListedJob) -> Shown {
    let message = job.execution_error.as_ref().and_then(|error| error.get("exception_message")?.as_str());
    Shown {
        id: job.id,
        state: job.standing,
        number: job.place.number_json(),
        submitted_at: job.submitted_at,
        ended_at: job.ended_at,
        client: job.client_id,
        owner: job.owner,
        backend: job.backend,
        attempts: job.attempts,
        models: job.needs.models().0,
        work: job.needs.work,
        workflow_id: job.workflow_id,
        outputs_count: job.standing.is_ended().then_some(job.summary.outputs.count),
        preview: job.summary.outputs.preview,
        error: message.map(|message| message.split_whitespace().collect::<Vec<_>>().join(" ")),
    }
}
