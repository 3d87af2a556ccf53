//! `POST /orchestrator/v1/jobs`: a prompt, a workflow or a picture that ComfyUI saved becomes a job, on the same way as
//! `POST /prompt`.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::{Extension, Json};
use comfyui::Prompt;
use comfyui::saved::{self, Saved};
use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use serde_json::{Map, Value, json};
use utoipa::ToSchema;

use super::super::auth::Asker;
use super::super::comfyui::{Submitting, accept, read_body, read_json, wishes_of_headers};
use super::super::{App, Refusal};
use super::convert::prompt_of;
use super::openapi::Problem;
use crate::edit::edit;
use crate::id::JobId;
use crate::limits;

/// A job to be: either a prompt or a workflow, and what `POST /prompt` takes beside it.
#[derive(Deserialize, ToSchema)]
#[allow(dead_code, reason = "it says in OpenAPI what two readers read")]
pub(super) struct NewJob {
    /// The graph that ComfyUI executes.
    #[schema(value_type = Option<Object>)]
    prompt: Option<Value>,
    /// The document that the web interface saves; it is converted by what the fleet offers.
    #[schema(value_type = Option<Object>)]
    workflow: Option<Value>,
    /// Other values for inputs of the prompt, as text: `{"3.seed": "7", "Positive.text": "a cat"}`. A node is named by its
    /// id, its title or its class. The workflow is no longer saved with the pictures then.
    #[schema(value_type = Option<Object>)]
    set: Option<Value>,
    client_id: Option<String>,
    /// The job's id: a UUID in lower case.
    prompt_id: Option<String>,
    #[schema(value_type = Option<Object>)]
    extra_data: Option<Value>,
    /// Its place in the queue: lower ones come first.
    number: Option<f64>,
    /// Before all that wait.
    front: Option<bool>,
    #[serde(flatten)]
    asked: Asked,
}

/// What a job may ask of the collector. It stands in `extra_data.orchestrator` too, where `POST /prompt` takes it, or in
/// headers: `X-Orchestrator-Max-Attempts: 2`.
#[derive(Default, Deserialize, Serialize, ToSchema)]
pub(super) struct Asked {
    /// A factor of its weight among those that wait: 0.01 to 100, 1 where absent.
    #[schema(value_type = Option<f64>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    priority: Option<Value>,
    /// When it should have ended: a time span such as `in 30m`, or a time with its zone such as `2030-01-31T18:00:00Z`.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline: Option<Value>,
    /// The backend that it runs on, and on no other.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    backend: Option<Value>,
    /// It runs only on backends that carry all of these.
    #[schema(value_type = Option<Vec<String>>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<Value>,
    /// Attempts that may reach a backend: 1 to 10, 3 where absent.
    #[schema(value_type = Option<u32>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    max_attempts: Option<Value>,
    /// An address that is told of its end, see docs/webhooks.md.
    #[schema(value_type = Option<String>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<Value>,
}

impl Asked {
    fn fields(&self) -> Map<String, Value> {
        json!(self).as_object().cloned().unwrap_or_default()
    }
}

/// A job that was committed.
#[derive(Serialize, ToSchema)]
pub(super) struct Submitted {
    #[schema(value_type = String)]
    id: JobId,
    #[schema(value_type = f64)]
    number: serde_json::Number,
    /// What stands in the way of other outputs of the prompt, by node.
    #[schema(value_type = Object)]
    node_errors: Value,
}

/// What may be said beside a picture, which has no room for it.
#[derive(Deserialize)]
pub(super) struct Beside {
    client_id: Option<String>,
    prompt_id: Option<String>,
    number: Option<f64>,
    #[serde(default)]
    front: bool,
}

/// Submits a prompt, a workflow, or the PNG or WebP of a picture that ComfyUI saved. Of a picture's documents the prompt
/// is taken, else the workflow.
#[utoipa::path(post, path = "/orchestrator/v1/jobs", tag = "jobs",
    request_body(content((NewJob = "application/json"), (Vec<u8> = "image/png"), (Vec<u8> = "image/webp"))),
    params(("client_id" = Option<String>, Query, description = "With a picture: as in the JSON"),
           ("prompt_id" = Option<String>, Query, description = "With a picture: as in the JSON"),
           ("number" = Option<f64>, Query, description = "With a picture: as in the JSON"),
           ("front" = Option<bool>, Query, description = "With a picture: as in the JSON")),
    responses((status = 201, body = Submitted), (status = "4XX", body = Problem), (status = 503, body = Problem)))]
pub(super) async fn submit(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(asker): Extension<Asker>,
    Query(beside): Query<Beside>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<Submitted>), Refusal> {
    let mut submitting = read(&app, read_body(body)?, beside).await?;
    submitting.ask(wishes_of_headers(&headers));
    let accepted = accept(&app, submitting, &asker, address).await?;
    let (id, number, node_errors) = (accepted.id, accepted.place.number_json(), accepted.node_errors);
    Ok((StatusCode::CREATED, Json(Submitted { id, number, node_errors })))
}

/// What a body asks to be run, whichever kind of document it is.
pub(super) async fn read(app: &App, body: Bytes, beside: Beside) -> Result<Submitting, Refusal> {
    match body.trim_ascii_start().first() {
        Some(b'{') => from_json(app, &body).await,
        _ => from_picture(app, body, beside).await,
    }
}

/// What `POST /prompt` does not know.
#[derive(Deserialize)]
struct Ours {
    workflow: Option<Value>,
    #[serde(default)]
    set: IndexMap<String, String>,
}

async fn from_json(app: &App, body: &[u8]) -> Result<Submitting, Refusal> {
    if body.len() > limits::DOCUMENT_BYTES {
        let message = format!("a document holds at most {} bytes", limits::DOCUMENT_BYTES);
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    let mut submitting: Submitting = read_json(body)?;
    submitting.ask(read_json::<Asked>(body)?.fields());
    let Ours { workflow, set } = read_json(body)?;
    let submitting = match (&submitting.prompt, workflow) {
        (Some(_), None) => submitting,
        (None, Some(workflow)) => converted(app, submitting, workflow).await?,
        (Some(_), Some(_)) => {
            let message = "there is a prompt and a workflow: give one of them";
            return Err(Refusal::bad_request("ambiguous", message));
        }
        (None, None) => {
            let message = "give {\"prompt\": ...}, {\"workflow\": ...} or a picture that ComfyUI saved";
            return Err(Refusal::bad_request("no_prompt", message));
        }
    };
    if set.is_empty() { Ok(submitting) } else { edited(app, submitting, &set) }
}

/// What the workflow says that came along is no longer so.
fn edited(
    app: &App,
    mut submitting: Submitting,
    set: &IndexMap<String, String>,
) -> Result<Submitting, Refusal> {
    let Some(prompt) = &submitting.prompt else { return Ok(submitting) };
    let mut prompt: Prompt = read_json(prompt.get().as_bytes())?;
    edit(&mut prompt, set, app.fleet().union.document())
        .map_err(|error| Refusal::bad_request("bad_value", error.to_string()))?;
    submitting.prompt = Some(raw(&prompt)?);
    let saved = submitting.extra_data.as_mut().and_then(|extra| extra.get_mut("extra_pnginfo"));
    if let Some(saved) = saved.and_then(Value::as_object_mut) {
        saved.shift_remove("workflow");
    }
    Ok(submitting)
}

async fn from_picture(app: &App, picture: Bytes, beside: Beside) -> Result<Submitting, Refusal> {
    let read = tokio::task::spawn_blocking(move || saved::read(&picture)).await;
    let read =
        read.map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))?;
    let saved = read.map_err(|error| Refusal::bad_request("no_document", error.to_string()))?;
    let Beside { client_id, prompt_id, number, front } = beside;
    let submitting = Submitting { client_id, prompt_id, number, front, ..Submitting::default() };
    match saved {
        Saved { prompt: Some(prompt), workflow } => {
            let submitting = Submitting { prompt: Some(raw(&prompt)?), ..submitting };
            Ok(workflow.into_iter().fold(submitting, with_workflow))
        }
        Saved { workflow: Some(workflow), .. } => converted(app, submitting, workflow).await,
        Saved { .. } => Err(Refusal::bad_request("no_document", "there is no workflow and no prompt in it")),
    }
}

async fn converted(app: &App, submitting: Submitting, workflow: Value) -> Result<Submitting, Refusal> {
    let (prompt, workflow) = prompt_of(app, workflow).await?;
    let submitting = Submitting { prompt: Some(raw(&prompt)?), ..submitting };
    Ok(with_workflow(submitting, workflow))
}

/// As the web interface does, so that the pictures hold the workflow that they were made by.
fn with_workflow(mut submitting: Submitting, workflow: Value) -> Submitting {
    let extra_data = submitting.extra_data.get_or_insert_default();
    let pnginfo = extra_data.entry("extra_pnginfo").or_insert_with(|| json!({}));
    if let Some(pnginfo) = pnginfo.as_object_mut() {
        pnginfo.entry("workflow").or_insert(workflow);
    }
    submitting
}

fn raw(prompt: &impl Serialize) -> Result<Box<RawValue>, Refusal> {
    to_raw_value(prompt).map_err(|e| Refusal::bad_request("invalid_prompt", e.to_string()))
}
