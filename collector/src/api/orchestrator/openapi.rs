//! What the routes under `/orchestrator/v1` take and give, as OpenAPI, made from the handlers themselves.

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::{backends, discovery, free, jobs, roster, submit};

/// Why a request was refused, in the shape of ComfyUI's own refusals.
#[derive(Serialize, ToSchema)]
pub(super) struct Problem {
    error: ProblemOf,
    /// By node of the graph, where a prompt was refused.
    #[schema(value_type = Object)]
    node_errors: Value,
}

#[derive(Serialize, ToSchema)]
struct ProblemOf {
    /// One word for programs.
    r#type: String,
    /// One sentence for people.
    message: String,
    details: String,
    #[schema(value_type = Object)]
    extra_info: Value,
}

#[derive(OpenApi)]
#[openapi(
    info(title = "orchestrator-collector", description = "The collector's own routes, beside ComfyUI's."),
    paths(
        backends::list,
        backends::one,
        discovery::agents,
        free::free,
        jobs::one,
        document,
        roster::add,
        roster::drain,
        roster::remove,
        roster::resume,
        submit::submit,
    )
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/orchestrator/v1/openapi.json", tag = "about", responses((status = 200, body = Object)))]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}
