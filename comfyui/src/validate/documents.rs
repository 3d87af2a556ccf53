//! The error documents, word for word as ComfyUI 0.8.0 writes them.

use serde_json::{Value, json};

use super::declared::Declared;
use super::python::{self, Literal, Thrown, repr, text};
use super::validators::Complaint;
use crate::api::PromptRejected;

/// Nothing of a prompt runs, and no single node is the reason.
pub(super) fn rejected(kind: &str, message: &str, details: &str) -> PromptRejected {
    PromptRejected {
        error: json!({"type": kind, "message": message, "details": details, "extra_info": {}}),
        node_errors: json!({}),
        extra: serde_json::Map::new(),
    }
}

pub(super) fn no_prompt() -> PromptRejected {
    rejected("no_prompt", "No prompt provided", "No prompt provided")
}

pub(super) fn no_outputs() -> PromptRejected {
    rejected("prompt_no_outputs", "Prompt has no outputs", "")
}

pub(super) fn no_class(id: &str) -> PromptRejected {
    let message = "Cannot execute because a node is missing the class_type property.";
    rejected("invalid_prompt", message, &node_id(id))
}

pub(super) fn unknown_class(id: &str, class: &Value) -> PromptRejected {
    let message = format!("Cannot execute because node {} does not exist.", text(class));
    rejected("invalid_prompt", &message, &node_id(id))
}

fn node_id(id: &str) -> String {
    format!("Node ID '#{id}'")
}

/// None of the outputs can run; `complaints` are those outputs' own errors, one a line.
pub(super) fn all_failed(complaints: &[String], node_errors: Value) -> PromptRejected {
    let message = "Prompt outputs failed validation";
    let rejected = rejected("prompt_outputs_failed_validation", message, &complaints.join("\n"));
    PromptRejected { node_errors, ..rejected }
}

/// One error as a line of `details`.
pub(super) fn complaint(error: &Value) -> String {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default();
    format!("{}: {}", text("message"), text("details"))
}

/// What Python threw at an output.
pub(super) fn thrown_at(thrown: &Thrown) -> Value {
    json!({
        "type": "exception_during_validation",
        "message": "Exception when validating node",
        "details": thrown.message,
        "extra_info": {"exception_type": thrown.kind, "traceback": []},
    })
}

/// What Python threw at the node behind a link.
pub(super) fn thrown_within(thrown: &Thrown, input: &Declared<'_>, link: &Value) -> Value {
    json!({
        "type": "exception_during_inner_validation",
        "message": "Exception when validating inner node",
        "details": thrown.message,
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config(),
            "exception_message": thrown.message,
            "exception_type": thrown.kind,
            "traceback": [],
            "linked_node": link,
        },
    })
}

pub(super) fn missing(input: &Declared<'_>) -> Value {
    json!({
        "type": "required_input_missing",
        "message": "Required input is missing",
        "details": input.short_name(),
        "extra_info": {"input_name": input.name},
    })
}

pub(super) fn bad_link(input: &Declared<'_>, value: &Value) -> Value {
    json!({
        "type": "bad_linked_input",
        "message": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "details": input.name,
        "extra_info": received(input, Some(value.clone())),
    })
}

pub(super) fn mismatch(input: &Declared<'_>, received: &Value, link: &Value) -> Value {
    let (received_type, input_type) = (text(received), text(input.kind));
    json!({
        "type": "return_type_mismatch",
        "message": "Return type mismatch between linked nodes",
        "details": format!("{}, received_type({received_type}) mismatch input_type({input_type})", input.name),
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config(),
            "received_type": received,
            "linked_node": link,
        },
    })
}

pub(super) fn not_converted(input: &Declared<'_>, value: &Value, thrown: &Thrown) -> Value {
    json!({
        "type": "invalid_input_type",
        "message": format!("Failed to convert an input value to a {} value", text(input.kind)),
        "details": format!("{}, {}, {}", input.name, text(value), thrown.message),
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config(),
            "received_value": value,
            "exception_message": thrown.message,
        },
    })
}

pub(super) fn too_small(input: &Declared<'_>, value: &Literal<'_>, bound: &Value) -> Value {
    out_of_range("value_smaller_than_min", "smaller than min", input, value, bound)
}

pub(super) fn too_big(input: &Declared<'_>, value: &Literal<'_>, bound: &Value) -> Value {
    out_of_range("value_bigger_than_max", "bigger than max", input, value, bound)
}

fn out_of_range(
    kind: &str,
    relation: &str,
    input: &Declared<'_>,
    value: &Literal<'_>,
    bound: &Value,
) -> Value {
    json!({
        "type": kind,
        "message": format!("Value {} {relation} of {}", value.text(), text(bound)),
        "details": input.name,
        "extra_info": received(input, value.to_json()),
    })
}

/// Longer lists are counted, not spelled out.
const LONGEST_LIST: usize = 20;

pub(super) fn not_in_list(input: &Declared<'_>, value: &Value, options: &Value) -> Value {
    let length = python::length(options);
    let is_long = length > LONGEST_LIST;
    let list = if is_long { format!("(list of length {length})") } else { repr(options) };
    json!({
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": format!("{}: '{}' not in {list}", input.name, text(value)),
        "extra_info": {
            "input_name": input.name,
            "input_config": input.list_config(is_long),
            "received_value": value,
        },
    })
}

pub(super) fn custom(complaint: &Complaint) -> Value {
    let said = complaint.said.as_deref().map(|said| format!(" - {said}")).unwrap_or_default();
    json!({
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": format!("{}{said}", complaint.input),
        "extra_info": {"input_name": complaint.input},
    })
}

fn received(input: &Declared<'_>, value: Option<Value>) -> Value {
    json!({"input_name": input.name, "input_config": input.config(), "received_value": value})
}
