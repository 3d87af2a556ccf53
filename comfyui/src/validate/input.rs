//! One input of one node: what its value is against what the class declares.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::declared::{Declared, is_of_new_kind};
use super::documents;
use super::kinds::fits;
use super::python::{self, Literal, Thrown, as_type};
use super::{Grounds, class_of};

const COMBO: &str = "COMBO";
/// An object with this key stands for its value, so that a list can be given which is no link.
const WRAPPED: &str = "__value__";

/// What is to be done about an input.
#[derive(Debug)]
pub(super) enum Finding<'a> {
    /// Nothing.
    Fine,
    /// It speaks against the node.
    Wrong(Value),
    /// It is as good as the node with this id, which its link (the second) names.
    Linked(&'a str, &'a Value),
    /// It is a value, which will be run as the second says if that is given, and which may be wrong all the same.
    Value { converted: Option<Value>, wrong: Option<Value> },
}

/// The node whose input is looked at.
#[derive(Debug, Clone, Copy)]
pub(super) struct Subject<'a> {
    pub(super) class: &'a str,
    pub(super) inputs: &'a Value,
}

/// Looks at one input. `Err` is what Python would throw outside of its own precautions: it ends the node's validation.
pub(super) fn look_at<'a>(
    input: &Declared<'_>,
    subject: Subject<'a>,
    nodes: &'a Map<String, Value>,
    grounds: Grounds<'a>,
) -> Result<Finding<'a>, Thrown> {
    if input.settings.is_some_and(Value::is_null) {
        return Err(Thrown::assertion_error());
    }
    let Some(value) = python::get(subject.inputs, &input.name)? else {
        return Ok(if input.is_required { Finding::Wrong(documents::missing(input)) } else { Finding::Fine });
    };
    match value {
        Value::Array(link) => self::link(input, subject, value, link, nodes, grounds),
        _ => literal(input, subject, value, grounds),
    }
}

fn link<'a>(
    input: &Declared<'_>,
    subject: Subject<'a>,
    value: &'a Value,
    link: &'a [Value],
    nodes: &'a Map<String, Value>,
    grounds: Grounds<'a>,
) -> Result<Finding<'a>, Thrown> {
    let [from, slot] = link else { return Ok(Finding::Wrong(documents::bad_link(input, value))) };
    let node = python::entry(nodes, from)?;
    let (Some(id), Some(node)) = (from.as_str(), node) else { return Err(Thrown::key_error(from)) };
    let received = output_type(node, slot, grounds)?;
    if !grounds.validators.checks_types(subject.class) && !fits(received, input.kind) {
        return Ok(Finding::Wrong(documents::mismatch(input, received, value)));
    }
    Ok(Finding::Linked(id, value))
}

/// Classes of the newer kind list their outputs, older ones have a tuple of them.
fn output_type<'a>(node: &'a Value, slot: &Value, grounds: Grounds<'a>) -> Result<&'a Value, Thrown> {
    let class = class_of(node, grounds.info);
    let outputs = class.and_then(|(_, class)| class.output.as_array()).map(Vec::as_slice).unwrap_or_default();
    python::at(outputs, slot, || match class {
        Some((_, class)) if is_of_new_kind(class) => "list",
        _ => "tuple",
    })
}

fn literal<'a>(
    input: &Declared<'_>,
    subject: Subject<'a>,
    given: &'a Value,
    grounds: Grounds<'a>,
) -> Result<Finding<'a>, Thrown> {
    let unwrapped = given.get(WRAPPED);
    let value = unwrapped.unwrap_or(given);
    let literal = match as_type(input.kind, value) {
        Ok(literal) => literal,
        Err(thrown) => {
            let wrong = Some(documents::not_converted(input, value, &thrown));
            return Ok(Finding::Value { converted: unwrapped.cloned(), wrong });
        }
    };
    let is_checked_elsewhere = grounds.validators.checks_value(subject.class, &input.name);
    let wrong = if is_checked_elsewhere { None } else { objection(input, &literal, value)? };
    // A number that JSON does not have stays as it was given: the server converts it anew.
    let converted = literal.to_json().or_else(|| unwrapped.cloned()).filter(|converted| converted != given);
    Ok(Finding::Value { converted, wrong })
}

fn objection(input: &Declared<'_>, literal: &Literal<'_>, value: &Value) -> Result<Option<Value>, Thrown> {
    if let Some(bound) = bound(input, "min")
        && literal.compare(bound, '<')?.is_some_and(Ordering::is_lt)
    {
        return Ok(Some(documents::too_small(input, literal, bound)));
    }
    if let Some(bound) = bound(input, "max")
        && literal.compare(bound, '>')?.is_some_and(Ordering::is_gt)
    {
        return Ok(Some(documents::too_big(input, literal, bound)));
    }
    not_in_list(input, value)
}

/// An infinite bound comes as null, since JSON has no other word for it, and bounds nothing.
fn bound<'a>(input: &Declared<'a>, name: &str) -> Option<&'a Value> {
    input.setting(name).filter(|bound| !bound.is_null())
}

fn not_in_list(input: &Declared<'_>, value: &Value) -> Result<Option<Value>, Thrown> {
    let none = Value::Array(Vec::new());
    let options = match input.kind {
        Value::Array(_) => input.kind,
        kind if kind == COMBO => input.setting("options").unwrap_or(&none),
        _ => return Ok(None),
    };
    let is_there = python::contains(options, value)?;
    Ok((!is_there).then(|| documents::not_in_list(input, value, options)))
}
