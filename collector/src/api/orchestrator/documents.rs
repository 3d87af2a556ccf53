//! What a job was submitted with, to be looked at and kept: its prompt, and the workflow that came along.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;

use super::super::{App, Refusal};
use super::openapi::Problem;
use crate::id::JobId;
use crate::queue::Documents;

/// A job's prompt: the graph that ComfyUI executes.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}/prompt", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub(super) async fn prompt(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Refusal> {
    let (job, documents) = documents(&app, &id).await?;
    Ok(attached("prompt", job, documents.prompt.get().to_owned()))
}

/// The workflow that a job's prompt was made of, if it came along: the document that the web interface opens.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}/workflow", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Object), (status = "4XX", body = Problem)))]
pub(super) async fn workflow(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let (job, documents) = documents(&app, &id).await?;
    let workflow = workflow_of(&documents).ok_or_else(|| {
        Refusal::not_found(format!(
            "job {id} came without a workflow; its prompt is at /orchestrator/v1/jobs/{id}/prompt"
        ))
    })?;
    Ok(attached("workflow", job, workflow.to_string()))
}

pub(super) fn workflow_of(documents: &Documents) -> Option<&Value> {
    documents.extra_data.get("extra_pnginfo")?.get("workflow").filter(|workflow| workflow.is_object())
}

async fn documents(app: &App, id: &str) -> Result<(JobId, Documents), Refusal> {
    let unknown = || Refusal::not_found(format!("no job has the id {id}"));
    let job = JobId::canonical(id).ok_or_else(unknown)?;
    let documents = app.queue.store().documents(job).await?.ok_or_else(unknown)?;
    Ok((job, documents))
}

/// A browser that opens it keeps it as a file.
fn attached(what: &str, job: JobId, document: String) -> Response {
    let name = format!("attachment; filename=\"{what}-{job}.json\"");
    let headers =
        [(header::CONTENT_TYPE, "application/json".to_owned()), (header::CONTENT_DISPOSITION, name)];
    (headers, document).into_response()
}
