//! `POST /orchestrator/v1/inspect`: what a document needs, where it could run, and which of its inputs a person may want to
//! change, before it becomes a job. Nothing is kept.

mod knobs;

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use comfyui::Prompt;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use self::knobs::{Knob, knobs};
use super::super::comfyui::{Submitting, judged, look, read_body, read_json, wishes_of_headers};
use super::super::{App, Refusal};
use super::openapi::Problem;
use super::submit::{Beside, NewJob, read};
use crate::id::{BackendId, JobId};
use crate::job::{Job, Needs, Place, State as JobState, Wishes, input_file};
use crate::route;

#[derive(Serialize, ToSchema)]
pub(super) struct Inspected {
    /// The prompt as it would be submitted: a JSON document in a text, since many a reader rounds long seeds.
    prompt: String,
    /// The workflow that would go along, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    workflow: Option<String>,
    needs: Needed,
    /// Why it would be refused, as `POST /prompt` would say it; absent where it would be accepted.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<Value>,
    backends: Vec<Verdict>,
    inputs: Vec<Knob>,
}

/// What a backend must have, and how much there is to do.
#[derive(Serialize, ToSchema)]
struct Needed {
    models: BTreeSet<String>,
    classes: BTreeSet<String>,
    /// Uploaded files and outputs of other jobs.
    files: Vec<String>,
    /// Width, height, steps and more, as far as the document tells.
    #[schema(value_type = Object)]
    work: Value,
}

/// Whether a backend could run it now.
#[derive(Serialize, ToSchema)]
struct Verdict {
    #[schema(value_type = String)]
    id: BackendId,
    /// It has all that is needed and takes jobs; others may wait before it.
    can_run: bool,
    /// In words.
    verdict: String,
    /// Until it would have ended, were it the next there; absent where it would not be, as another backend is left it.
    #[serde(skip_serializing_if = "Option::is_none")]
    completion_seconds: Option<f64>,
}

/// What a prompt, a workflow or a picture needs, and where it could run, as if it were submitted now. The body is that of
/// `POST /orchestrator/v1/jobs`.
#[utoipa::path(post, path = "/orchestrator/v1/inspect", tag = "jobs",
    request_body(content((NewJob = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"))),
    responses((status = 200, body = Inspected), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn inspect(
    State(app): State<Arc<App>>,
    Query(beside): Query<Beside>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Inspected>, Refusal> {
    let mut submitting = read(&app, read_body(body)?, beside).await?;
    submitting.ask(wishes_of_headers(&headers));
    let raw = submitting.prompt.as_deref().map(|raw| raw.get().to_owned()).unwrap_or_default();
    let prompt: Prompt = read_json(raw.as_bytes())?;
    let workflow = workflow(&submitting).map(Value::to_string);
    let (job, problem) = match judged(&app, &mut submitting) {
        Ok((wishes, judged)) => (draft(&app, judged.needs, wishes), None),
        Err(refusal) => (draft(&app, needs(&app, &prompt), Wishes::default()), Some(refusal.document())),
    };
    let job = Arc::new(job);
    Ok(Json(Inspected {
        prompt: raw,
        workflow,
        backends: verdicts(&app, &job).await?,
        needs: Needed::of(&job.needs),
        problem,
        inputs: knobs(&prompt, app.fleet().union.document()),
    }))
}

/// Of a prompt that would be refused.
fn needs(app: &App, prompt: &Prompt) -> Needs {
    Needs::with_uploads(prompt, Some(app.fleet().union.document()), |file| {
        app.files.contains(&input_file(file))
    })
}

fn workflow(submitting: &Submitting) -> Option<&Value> {
    submitting.extra_data.as_ref()?.get("extra_pnginfo")?.get("workflow")
}

async fn verdicts(app: &App, job: &Arc<Job>) -> Result<Vec<Verdict>, Refusal> {
    let verdicts = look(app).await?.explain(job, app.clock.now());
    let verdict = |(id, verdict): (BackendId, route::Verdict)| Verdict {
        id,
        can_run: !verdict.is_refused(),
        verdict: verdict.to_string(),
        completion_seconds: verdict.completion_seconds(),
    };
    Ok(verdicts.into_iter().map(verdict).collect())
}

/// A job that is never submitted.
fn draft(app: &App, needs: Needs, wishes: Wishes) -> Job {
    Job {
        id: JobId::random(),
        place: Place::new(None, false, 0),
        client_id: None,
        peer: None,
        owner: None,
        needs: Arc::new(needs),
        wishes: Arc::new(wishes),
        submitted_at: app.clock.now(),
        attempts: 0,
        spent_attempts: 0,
        state: JobState::Waiting,
    }
}

impl Needed {
    fn of(needs: &Needs) -> Self {
        let uploads = needs.files.iter().map(ToString::to_string);
        Self {
            models: needs.models().0,
            classes: needs.classes.clone(),
            files: uploads.chain(needs.outputs.iter().map(crate::job::as_input)).collect(),
            work: serde_json::to_value(&needs.work).unwrap_or_default(),
        }
    }
}
