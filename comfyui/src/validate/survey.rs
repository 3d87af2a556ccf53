//! The first look at a prompt: whether the server has all of its classes, and which of its nodes are outputs to run.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::{Grounds, Verdict, class_of, documents, python};

/// Which outputs are wanted.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wanted<'a> {
    All,
    These(&'a [String]),
    /// Whatever a request says, which may be no list at all.
    Stated(&'a Value),
}

/// A text of targets that is longer than this names none: every output is looked for in all of it.
const LONGEST_TEXT_OF_TARGETS_BYTES: usize = 1024;

/// The same, so that each output is found at once among any number of targets.
enum Targets<'a> {
    All,
    Named(HashSet<&'a str>),
    Other(&'a Value),
}

impl<'a> Targets<'a> {
    fn of(wanted: Wanted<'a>) -> Self {
        match wanted {
            Wanted::All | Wanted::Stated(Value::Null) => Self::All,
            Wanted::These(targets) => Self::Named(targets.iter().map(String::as_str).collect()),
            // An id is a text, which equals nothing but texts.
            Wanted::Stated(Value::Array(targets)) => {
                Self::Named(targets.iter().filter_map(Value::as_str).collect())
            }
            Wanted::Stated(Value::String(text)) if text.len() > LONGEST_TEXT_OF_TARGETS_BYTES => {
                Self::Named(HashSet::new())
            }
            Wanted::Stated(other) => Self::Other(other),
        }
    }

    fn include(&self, id: &str) -> Result<bool, Verdict> {
        match self {
            Self::All => Ok(true),
            Self::Named(ids) => Ok(ids.contains(id)),
            Self::Other(targets) => python::contains(targets, &Value::from(id)).map_err(|_| Verdict::Trips),
        }
    }
}

/// The outputs to run, in the prompt's order, and the nodes. `Err` where there is nothing to look at further.
pub(super) fn outputs<'a>(
    prompt: &'a Value,
    wanted: Wanted<'_>,
    grounds: Grounds<'_>,
) -> Result<(&'a Map<String, Value>, Vec<&'a str>), Verdict> {
    let Some(nodes) = prompt.as_object() else { return Err(no_nodes(prompt, grounds)) };
    let targets = Targets::of(wanted);
    let mut outputs = Vec::new();
    for (id, node) in nodes {
        if is_output(id, node, grounds)? && targets.include(id)? {
            outputs.push(id.as_str());
        }
    }
    if outputs.is_empty() { Err(documents::no_outputs().into()) } else { Ok((nodes, outputs)) }
}

fn is_output(id: &str, node: &Value, grounds: Grounds<'_>) -> Result<bool, Verdict> {
    match python::contains(node, &Value::from("class_type")) {
        Err(_) => Err(Verdict::Trips),
        Ok(false) => Err(documents::no_class(id).into()),
        Ok(true) => match class_of(node, grounds.info) {
            Some((_, class)) => Ok(class.output_node),
            None => Err(unknown_class(id, node)),
        },
    }
}

fn unknown_class(id: &str, node: &Value) -> Verdict {
    match node.get("class_type") {
        None | Some(Value::Array(_) | Value::Object(_)) => Verdict::Trips,
        Some(class) => documents::unknown_class(id, class).into(),
    }
}

/// A prompt that is no object. Python walks over the items of a list and takes each for the id of a node; that list
/// itself then answers to whole numbers, and only its first faulty "node" keeps the server from tripping over it.
fn no_nodes(prompt: &Value, grounds: Grounds<'_>) -> Verdict {
    let items = match prompt {
        Value::Array(items) => items.as_slice(),
        Value::String(text) if text.is_empty() => &[],
        _ => return Verdict::Trips,
    };
    for id in items {
        let node = python::at(items, id, || "list").map_err(|_| Verdict::Trips);
        if let Err(verdict) = node.and_then(|node| is_output(&python::text(id), node, grounds)) {
            return verdict;
        }
    }
    documents::no_outputs().into()
}
