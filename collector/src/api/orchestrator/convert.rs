//! Workflow → prompt by what the fleet offers, and why there is none, node by node.

use std::sync::Arc;

use axum::http::StatusCode;
use comfyui::convert::{ConvertError, Interface, UnknownClass, convert};
use comfyui::{Prompt, Workflow};
use serde_json::{Map, Value, json};

use super::super::{App, Refusal};
use crate::surroundings;

/// Gives the workflow back with its prompt. Converting takes a while, so it is kept off the async threads.
pub(super) async fn prompt_of(app: &App, workflow: Value) -> Result<(Prompt, Value), Refusal> {
    let union = Arc::clone(&app.fleet().union);
    if union.is_empty() {
        let message = "no backend has told yet which node classes it has, so no workflow can be converted";
        return Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "classes_unknown", message));
    }
    let converting = tokio::task::spawn_blocking(move || {
        let document = Workflow::from_value(&workflow)
            .map_err(|error| Refusal::bad_request("invalid_workflow", error.to_string()))?;
        let options = surroundings::options(Interface::default(), None);
        let prompt = convert(&document, union.document(), &options).map_err(refusal)?;
        Ok((prompt, workflow))
    });
    let internal = |e: tokio::task::JoinError| {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string())
    };
    converting.await.map_err(internal)?
}

fn refusal(error: ConvertError) -> Refusal {
    let message = "The workflow cannot be converted to a prompt";
    let refusal = Refusal::bad_request("invalid_workflow", message).details(error.to_string());
    let node_errors = match error {
        ConvertError::UnknownClasses(classes) => classes.iter().flat_map(unknown).collect(),
        ConvertError::NeedsBrowser { node, class } => {
            Map::from_iter([node_error(&node, &class, "needs_browser", "Takes its picture from a browser")])
        }
        ConvertError::Broken { .. } | ConvertError::TooLarge { .. } => Map::new(),
    };
    Refusal { node_errors: Some(Box::new(Value::Object(node_errors))), ..refusal }
}

fn unknown(class: &UnknownClass) -> impl Iterator<Item = (String, Value)> {
    let message = "No backend has this node class";
    class.nodes.iter().map(move |node| node_error(node, &class.class, "missing_node_type", message))
}

/// In the form of ComfyUI's own.
fn node_error(node: &str, class: &str, kind: &str, message: &str) -> (String, Value) {
    let error = json!({ "type": kind, "message": message, "details": class, "extra_info": {} });
    (node.to_owned(), json!({ "errors": [error], "dependent_outputs": [], "class_type": class }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_node_of_an_unknown_class_is_named() {
        let nodes = vec!["3".to_owned(), "7:1".to_owned()];
        let refused = refusal(ConvertError::UnknownClasses(vec![UnknownClass { class: "X".into(), nodes }]));
        let node_errors = refused.node_errors.unwrap();
        assert_eq!(node_errors.as_object().unwrap().len(), 2);
        assert_eq!(node_errors["7:1"]["class_type"], "X");
        assert_eq!(refused.details, "the server does not know X (nodes 3, 7:1)");
    }
}
