//! The error documents of validation, word for word.

use serde_json::{Value, json};

use super::python::{Thrown, repr};
use crate::generation::Generation;

/// An input of a node, where an error speaks of it.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    pub(super) name: &'a str,
    /// As the error documents of the generation give it.
    pub(super) config: &'a Value,
}

pub(super) fn refusal(kind: &str, message: &str, details: &str) -> Value {
    json!({"type": kind, "message": message, "details": details, "extra_info": {}})
}

pub(super) fn no_outputs() -> Value {
    refusal("prompt_no_outputs", "Prompt has no outputs", "")
}

pub(super) fn thrown_at(thrown: &Thrown) -> Value {
    json!({
        "type": "exception_during_validation",
        "message": "Exception when validating node",
        "details": thrown.message,
        "extra_info": {"exception_type": thrown.kind, "traceback": ["(traceback removed)"]},
    })
}

pub(super) fn thrown_within(thrown: &Thrown, input: Input<'_>, link: &Value) -> Value {
    json!({
        "type": "exception_during_inner_validation",
        "message": "Exception when validating inner node",
        "details": thrown.message,
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config,
            "exception_message": thrown.message,
            "exception_type": thrown.kind,
            "traceback": ["(traceback removed)"],
            "linked_node": link,
        },
    })
}

pub(super) fn missing(name: &str) -> Value {
    json!({
        "type": "required_input_missing",
        "message": "Required input is missing",
        "details": name,
        "extra_info": {"input_name": name},
    })
}

pub(super) fn bad_link(input: Input<'_>, value: &Value) -> Value {
    json!({
        "type": "bad_linked_input",
        "message": "Bad linked input, must be a length-2 list of [node_id, slot_index]",
        "details": input.name,
        "extra_info": received(input, value),
    })
}

pub(super) fn mismatch(
    input: Input<'_>,
    received: &str,
    expected: &Value,
    link: &Value,
    generation: Generation,
) -> Value {
    let expected = repr_type(expected);
    let details = if generation.is_current() {
        format!("{}, received_type({received}) mismatch input_type({expected})", input.name)
    } else {
        format!("{}, {received} != {expected}", input.name)
    };
    json!({
        "type": "return_type_mismatch",
        "message": "Return type mismatch between linked nodes",
        "details": details,
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config,
            "received_type": received,
            "linked_node": link,
        },
    })
}

pub(super) fn not_converted(input: Input<'_>, kind: &str, value: &Value, thrown: &Thrown) -> Value {
    let shown = value.as_str().map_or_else(|| repr(value), str::to_owned);
    json!({
        "type": "invalid_input_type",
        "message": format!("Failed to convert an input value to a {kind} value"),
        "details": format!("{}, {shown}, {}", input.name, thrown.message),
        "extra_info": {
            "input_name": input.name,
            "input_config": input.config,
            "received_value": value,
            "exception_message": thrown.message,
        },
    })
}

pub(super) fn out_of_range(input: Input<'_>, value: &Value, bound: &Value, is_minimum: bool) -> Value {
    let (kind, relation) = if is_minimum {
        ("value_smaller_than_min", "smaller than min")
    } else {
        ("value_bigger_than_max", "bigger than max")
    };
    json!({
        "type": kind,
        "message": format!("Value {} {relation} of {}", repr(value), repr(bound)),
        "details": input.name,
        "extra_info": received(input, value),
    })
}

/// Longer lists are not spelled out in words; in 2024 not in the configuration either.
const LONGEST_LIST: usize = 20;

pub(super) fn not_in_list(input: Input<'_>, value: &Value, list: &[Value], generation: Generation) -> Value {
    let is_long = list.len() > LONGEST_LIST;
    let shown =
        if is_long { format!("(list of length {})", list.len()) } else { repr(&Value::Array(list.to_vec())) };
    let config = if is_long && !generation.is_current() { &Value::Null } else { input.config };
    let unquoted = value.as_str().map_or_else(|| repr(value), str::to_owned);
    json!({
        "type": "value_not_in_list",
        "message": "Value not in list",
        "details": format!("{}: '{unquoted}' not in {shown}", input.name),
        "extra_info": {"input_name": input.name, "input_config": config, "received_value": value},
    })
}

pub(super) fn custom(name: &str, said: &str) -> Value {
    json!({
        "type": "custom_validation_failed",
        "message": "Custom validation failed for node",
        "details": format!("{name} - {said}"),
        "extra_info": {"input_name": name},
    })
}

fn received(input: Input<'_>, value: &Value) -> Value {
    json!({"input_name": input.name, "input_config": input.config, "received_value": value})
}

fn repr_type(kind: &Value) -> String {
    kind.as_str().map_or_else(|| repr(kind), str::to_owned)
}
