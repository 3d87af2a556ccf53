//! `POST /prompt`: what is asked and the two answers.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};

/// The body of `POST /prompt`.
///
/// The prompt stays the text that it was, so that a large one is neither parsed nor written anew, and reads from text
/// only (`from_str`, `from_slice`), not from a [`Value`].
///
/// ```
/// use comfyui::api::PromptRequest;
///
/// let mut request = PromptRequest::of(r#"{"1": {"class_type": "EmptyImage"}}"#)?;
/// request.client_id = Some("me".into());
/// assert_eq!(serde_json::to_string(&request)?, r#"{"prompt":{"1": {"class_type": "EmptyImage"}},"client_id":"me"}"#);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PromptRequest {
    /// The graph.
    pub prompt: Box<RawValue>,
    /// The WebSocket client that hears of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// The id to give it. 0.8 takes any string, 0.38 only a canonical lowercase UUID, 2024 ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt_id: Option<String>,
    /// Its place in the queue: the least runs first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<Number>,
    /// Whether it goes before all that wait, earlier "fronts" included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub front: Option<bool>,
    /// What goes along and comes back in `/queue` and `/history`; `extra_pnginfo.workflow` lands in saved pictures.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extra_data: Option<Map<String, Value>>,
    /// Output nodes to run, where not all; ignored in 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partial_execution_targets: Option<Vec<String>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl PromptRequest {
    /// A request that says no more than this prompt.
    ///
    /// # Errors
    /// When the text is not JSON.
    pub fn of(prompt: impl Into<String>) -> serde_json::Result<Self> {
        Ok(Self {
            prompt: RawValue::from_string(prompt.into())?,
            client_id: None,
            prompt_id: None,
            number: None,
            front: None,
            extra_data: None,
            partial_execution_targets: None,
            extra: Map::new(),
        })
    }
}

/// The answer 200 of `POST /prompt`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptAccepted {
    /// The id under which it runs: the one asked for, except in 2024.
    pub prompt_id: String,
    /// Its place in the queue.
    pub number: Number,
    /// Errors of the outputs that will not be run although others will; empty when all run.
    #[serde(default)]
    pub node_errors: Value,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// The answer 400 of `POST /prompt`: nothing of it will be run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PromptRejected {
    /// `{type, message, details, extra_info}`, or a plain string in some answers of 2024.
    pub error: Value,
    /// Node id → `{errors, dependent_outputs, class_type}`; `[]` where 2024 has none.
    #[serde(default)]
    pub node_errors: Value,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl PromptRejected {
    /// The kind of error, such as `prompt_outputs_failed_validation`; `None` where it is a plain string.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        self.error.get("type")?.as_str()
    }

    /// What went wrong, in the server's words.
    #[must_use]
    pub fn message(&self) -> &str {
        self.error.as_str().or_else(|| self.error.get("message")?.as_str()).unwrap_or("no reason given")
    }

    /// What is wrong with each node, in the server's words: `node 4 (LoadImage): Invalid image file: image: a.png`.
    pub fn node_reasons(&self) -> impl Iterator<Item = String> {
        node_reasons(&self.node_errors)
    }
}

impl PromptAccepted {
    /// What is wrong with the nodes that will not be run, as [`PromptRejected::node_reasons`].
    pub fn node_reasons(&self) -> impl Iterator<Item = String> {
        node_reasons(&self.node_errors)
    }
}

fn node_reasons(node_errors: &Value) -> impl Iterator<Item = String> {
    let nodes = node_errors.as_object().into_iter().flatten();
    nodes.flat_map(|(id, node)| {
        let class = text(node, "class_type");
        let errors = node.get("errors").and_then(Value::as_array).into_iter().flatten();
        errors.map(move |error| {
            format!("node {id} ({class}): {}: {}", text(error, "message"), text(error, "details"))
        })
    })
}

fn text<'a>(document: &'a Value, key: &str) -> &'a str {
    document.get(key).and_then(Value::as_str).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_keeps_the_text_of_its_prompt_and_what_it_does_not_know() {
        let text = r#"{"prompt":{"1": 1.50,  "0": []},"client_id":"c","number":-7.0,"api_key":"k"}"#;
        let request: PromptRequest = serde_json::from_str(text).unwrap();
        assert_eq!(request.prompt.get(), r#"{"1": 1.50,  "0": []}"#);
        assert_eq!(request.extra.get("api_key"), Some(&Value::from("k")));
        assert_eq!(serde_json::to_string(&request).unwrap(), text);
    }

    #[test]
    fn what_is_wrong_with_each_node_is_told() {
        let rejected: PromptRejected = serde_json::from_str(
            r#"{"error": {}, "node_errors": {"4": {"class_type": "X", "errors": [
                {"message": "Too small", "details": "steps"}, {"message": "Missing", "details": "model"}]}}}"#,
        )
        .unwrap();
        let told: Vec<String> = rejected.node_reasons().collect();
        assert_eq!(told, ["node 4 (X): Too small: steps", "node 4 (X): Missing: model"]);
    }

    #[test]
    fn a_plain_string_is_an_error_too() {
        let old: PromptRejected =
            serde_json::from_str(r#"{"error": "no prompt", "node_errors": []}"#).unwrap();
        assert_eq!((old.kind(), old.message()), (None, "no prompt"));
        let new: PromptRejected =
            serde_json::from_str(r#"{"error": {"type": "no_prompt", "message": "No prompt provided"}}"#)
                .unwrap();
        assert_eq!((new.kind(), new.message()), (Some("no_prompt"), "No prompt provided"));
    }
}
