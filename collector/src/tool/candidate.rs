//! What of a document a server is sent, or would be. Pure.
//!
//! A server takes any JSON for a prompt and has words for most of it, so JSON that looks like nothing in particular is
//! a prompt here too; only what cannot be meant as one is taken for something else.

use comfyui::saved::{self, Saved};
use serde_json::Value;

use super::ToolError;
use super::document::Document;

/// What a server would be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Candidate {
    /// The whole body of `POST /prompt`.
    Body(Value),
    /// Its `prompt` alone.
    Prompt(Value),
    /// What its prompt is yet to be made of.
    Workflow(Value),
}

/// Whatever of a document a server would take.
pub(super) fn of(document: &Document) -> Result<Candidate, ToolError> {
    let found = saved::read(&document.bytes);
    match (document.json(), found) {
        (Ok(json), found) => Ok(in_json(json, found.ok())),
        (Err(_), Ok(saved)) => Ok(in_saved(saved).unwrap_or(Candidate::Prompt(Value::Null))),
        (Err(_), Err(source)) => Err(ToolError::Unreadable { document: document.name.clone(), source }),
    }
}

/// `found` is what the library finds in the same document, if anything.
fn in_json(document: Value, found: Option<Saved>) -> Candidate {
    if holds_nodes(&document) {
        return Candidate::Prompt(document);
    }
    if is_body(&document) {
        return Candidate::Body(document);
    }
    found.and_then(in_saved).unwrap_or(Candidate::Prompt(document))
}

/// The prompt, since that is what ran, before the workflow.
fn in_saved(saved: Saved) -> Option<Candidate> {
    let prompt = saved.prompt.map(Candidate::Prompt);
    prompt.or_else(|| saved.workflow.map(Candidate::Workflow))
}

/// Whatever else stands beside a node, whichever its id.
fn holds_nodes(document: &Value) -> bool {
    let is_node = |value: &Value| value.get("class_type").is_some_and(Value::is_string);
    document.as_object().is_some_and(|entries| entries.values().any(is_node))
}

/// In an entry of the history, `prompt` is a list with the graph third.
fn is_body(document: &Value) -> bool {
    let is_queued = |prompt: &Value| prompt.get(2).is_some_and(Value::is_object);
    document.get("prompt").is_some_and(|prompt| !is_queued(prompt))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn candidate(document: &Value) -> Candidate {
        in_json(document.clone(), comfyui::saved::read(document.to_string().as_bytes()).ok())
    }

    #[test]
    fn any_json_that_is_nothing_else_is_a_prompt() {
        for document in [
            json!({}),
            json!([]),
            json!(null),
            json!("text"),
            json!({"1": {"inputs": {}}}),
            json!({"1": {"class_type": "A"}, "nodes": []}),
            json!({"prompt": {"class_type": "A", "inputs": {}}}),
        ] {
            assert_eq!(candidate(&document), Candidate::Prompt(document.clone()), "{document}");
        }
    }

    #[test]
    fn an_object_with_a_prompt_is_a_body_whatever_the_prompt() {
        for prompt in
            [json!({"1": {"class_type": "A"}}), json!({}), json!(null), json!([1, 2, 3]), json!("a")]
        {
            let document = json!({"prompt": prompt, "client_id": "c"});
            assert_eq!(candidate(&document), Candidate::Body(document.clone()), "{document}");
        }
    }

    #[test]
    fn of_an_entry_of_the_history_the_prompt_is_judged() {
        let prompt = json!({"1": {"class_type": "A", "inputs": {}}});
        let entry = json!({"prompt": [7, "id", prompt, {}, ["1"]], "outputs": {}});
        assert_eq!(candidate(&entry), Candidate::Prompt(prompt.clone()));
        assert_eq!(candidate(&json!({"0c1d": entry})), Candidate::Prompt(prompt));
    }

    #[test]
    fn a_workflow_is_one_and_a_prompt_beside_it_goes_first() {
        let (workflow, prompt) = (json!({"nodes": [], "links": []}), json!({"1": {"class_type": "A"}}));
        assert_eq!(candidate(&workflow), Candidate::Workflow(workflow.clone()));
        let saved =
            |prompt: Option<&Value>| Saved { workflow: Some(workflow.clone()), prompt: prompt.cloned() };
        assert_eq!(in_saved(saved(Some(&prompt))), Some(Candidate::Prompt(prompt)));
        assert_eq!(in_saved(saved(None)), Some(Candidate::Workflow(workflow.clone())));
    }
}
