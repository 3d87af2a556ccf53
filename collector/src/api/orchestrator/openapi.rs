//! What the routes under `/orchestrator/v1` take and give, as OpenAPI, made from the handlers themselves.

use axum::Json;
use serde::Serialize;
use serde_json::Value;
use utoipa::{OpenApi, ToSchema};

use super::{
    backends, discovery, documents, events, follow, free, inspect, job_actions, job_list, jobs, preview,
    queue, roster, submit, timeline, whoami,
};

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
        documents::prompt,
        documents::workflow,
        events::follow,
        follow::follow,
        free::free,
        inspect::inspect,
        job_actions::cancel,
        job_actions::move_to,
        job_actions::prefer,
        job_actions::retry,
        job_list::list,
        jobs::one,
        document,
        preview::preview,
        queue::queue,
        roster::add,
        roster::drain,
        roster::remove,
        roster::resume,
        submit::submit,
        timeline::timeline,
        whoami::whoami,
    )
)]
struct Document;

/// This document.
#[utoipa::path(get, path = "/orchestrator/v1/openapi.json", tag = "about", responses((status = 200, body = Object)))]
pub(super) async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Document::openapi())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::table;
    use super::*;

    /// That the methods are those of the document too is tested over HTTP, where they can be seen.
    #[test]
    fn every_route_of_ours_is_described_and_no_other() {
        let described: BTreeSet<String> = Document::openapi().paths.paths.into_keys().collect();
        let routed: BTreeSet<String> = table().into_iter().map(|(path, _)| path.to_owned()).collect();
        assert_eq!(described, routed);
    }

    #[test]
    fn every_description_has_words_and_every_type_it_names_is_there() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let text = document.to_string();
        for named in text.split("\"#/components/schemas/").skip(1).filter_map(|rest| rest.split('"').next()) {
            assert!(document["components"]["schemas"].get(named).is_some(), "{named}");
        }
        for (path, methods) in document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                assert!(
                    operation["summary"].as_str().is_some_and(|words| !words.is_empty()),
                    "{method} {path}"
                );
            }
        }
    }
}
