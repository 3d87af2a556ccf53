//! The first look at a prompt: whether the server has all of its classes, and which of its nodes are outputs to run.

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

impl Wanted<'_> {
    fn includes(self, id: &str) -> Result<bool, Verdict> {
        match self {
            Self::All | Self::Stated(Value::Null) => Ok(true),
            Self::These(targets) => Ok(targets.iter().any(|target| target == id)),
            Self::Stated(targets) => python::contains(targets, &Value::from(id)).map_err(|_| Verdict::Trips),
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
    let mut outputs = Vec::new();
    for (id, node) in nodes {
        if is_output(id, node, grounds)? && wanted.includes(id)? {
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
