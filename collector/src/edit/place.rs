//! Which input of which node is meant by `NODE.INPUT`. Pure.
//!
//! Titles and inputs may have dots in them, so every dot is tried as the one between the two.

use comfyui::object_info::InputSpec;
use comfyui::prompt::Node;
use comfyui::{ObjectInfo, Prompt};
use serde_json::Value;

/// An input of a node.
#[derive(Debug, PartialEq)]
pub struct Place {
    pub node: String,
    pub input: String,
}

/// Why nothing is meant, or more than one thing.
#[derive(Debug, PartialEq, thiserror::Error)]
pub enum PlaceError {
    #[error("it is written as NODE.INPUT=VALUE, such as 3.seed=42")]
    NoDot,
    #[error("no node has the id, the title or the class {name:?}; there are{}", lines(.nodes))]
    NoNode { name: String, nodes: Vec<String> },
    #[error("more than one node is called {name:?}; name one by its id:{}", lines(.nodes))]
    Several { name: String, nodes: Vec<String> },
    #[error("node {node} has no input {input:?}; it has {}", .inputs.join(", "))]
    NoInput { node: String, input: String, inputs: Vec<String> },
}

fn lines(nodes: &[String]) -> String {
    nodes.iter().map(|node| format!("\n  {node}")).collect()
}

impl Place {
    /// What its input accepts, as far as the class is known.
    pub fn spec<'a>(&self, prompt: &Prompt, info: &'a ObjectInfo) -> Option<&'a InputSpec> {
        info.0.get(&prompt.0.get(&self.node)?.class_type)?.input.get(&self.input)
    }

    /// What stands there now.
    pub fn now<'a>(&self, prompt: &'a Prompt) -> Option<&'a Value> {
        prompt.0.get(&self.node)?.inputs.get(&self.input)
    }
}

pub fn find(target: &str, prompt: &Prompt, info: &ObjectInfo) -> Result<Place, PlaceError> {
    let split = |(at, _)| Some((target.get(..at)?, target.get(at + 1..)?));
    let splits = target.match_indices('.').filter_map(split);
    let mut fault = PlaceError::NoDot;
    for (name, input) in splits {
        match at(name, input, prompt, info) {
            Ok(place) => return Ok(place),
            Err(error) if error.closeness() >= fault.closeness() => fault = error,
            Err(_) => {}
        }
    }
    Err(fault)
}

impl PlaceError {
    /// Of several readings, the one that fits the furthest is what was meant.
    fn closeness(&self) -> u8 {
        match self {
            Self::NoDot => 0,
            Self::NoNode { .. } => 1,
            Self::Several { .. } => 2,
            Self::NoInput { .. } => 3,
        }
    }
}

fn at(name: &str, input: &str, prompt: &Prompt, info: &ObjectInfo) -> Result<Place, PlaceError> {
    let (id, node) = node(name, prompt)?;
    let inputs = inputs(node, info);
    if inputs.iter().any(|known| known == input) {
        return Ok(Place { node: id.to_owned(), input: input.to_owned() });
    }
    Err(PlaceError::NoInput { node: shown(id, node), input: input.to_owned(), inputs })
}

/// An id goes before a title, and a title before a class.
fn node<'a>(name: &str, prompt: &'a Prompt) -> Result<(&'a str, &'a Node), PlaceError> {
    let is_id = |id: &str, _: &Node, name: &str| id == name;
    let is_title = |_: &str, node: &Node, name: &str| title(node) == Some(name);
    let is_class = |_: &str, node: &Node, name: &str| node.class_type == name;
    let kinds: [fn(&str, &Node, &str) -> bool; 3] = [is_id, is_title, is_class];
    for is_meant in kinds {
        let called: Vec<_> = prompt.0.iter().filter(|(id, node)| is_meant(id, node, name)).collect();
        match called.as_slice() {
            [] => {}
            [(id, node)] => return Ok((id, node)),
            several => {
                let nodes = several.iter().map(|(id, node)| shown(id, node)).collect();
                return Err(PlaceError::Several { name: name.to_owned(), nodes });
            }
        }
    }
    let nodes = prompt.0.iter().map(|(id, node)| shown(id, node)).collect();
    Err(PlaceError::NoNode { name: name.to_owned(), nodes })
}

/// Those that it has, and those that its class may have besides.
fn inputs(node: &Node, info: &ObjectInfo) -> Vec<String> {
    let mut inputs: Vec<String> = node.inputs.keys().cloned().collect();
    let declared = info.0.get(&node.class_type).into_iter().flat_map(|class| class.input.iter());
    for (name, _) in declared {
        if !inputs.iter().any(|known| known == name) {
            inputs.push(name.to_owned());
        }
    }
    inputs
}

fn title(node: &Node) -> Option<&str> {
    node.meta.as_ref()?.get("title")?.as_str()
}

fn shown(id: &str, node: &Node) -> String {
    match title(node) {
        Some(title) if title != node.class_type => format!("{id} ({title}, {})", node.class_type),
        _ => format!("{id} ({})", node.class_type),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn prompt() -> Prompt {
        serde_json::from_value(json!({
            "3": {"class_type": "KSampler", "inputs": {"seed": 1, "mode.width": 2}, "_meta": {"title": "v1.5 pass"}},
            "6": {"class_type": "Text", "inputs": {"text": ""}, "_meta": {"title": "Positive"}},
            "7": {"class_type": "Text", "inputs": {"text": ""}, "_meta": {"title": "Negative"}},
            "76:8": {"class_type": "Save", "inputs": {}, "_meta": {"title": "3"}},
        }))
        .unwrap()
    }

    fn info() -> ObjectInfo {
        serde_json::from_value(json!({
            "KSampler": {"input": {"required": {"seed": ["INT"]}, "optional": {"steps": ["INT"]}}},
        }))
        .unwrap()
    }

    fn found(target: &str) -> Result<(String, String), String> {
        find(target, &prompt(), &info())
            .map(|place| (place.node, place.input))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn a_node_is_meant_by_id_title_or_class_whatever_dots_there_are() {
        for (target, node, input) in [
            ("3.seed", "3", "seed"),
            ("KSampler.seed", "3", "seed"),
            ("v1.5 pass.seed", "3", "seed"),
            ("v1.5 pass.mode.width", "3", "mode.width"),
            ("3.mode.width", "3", "mode.width"),
            ("KSampler.steps", "3", "steps"),
            ("Negative.text", "7", "text"),
        ] {
            assert_eq!(found(target), Ok((node.to_owned(), input.to_owned())), "{target}");
        }
    }

    #[test]
    fn what_is_not_there_is_told_with_what_is() {
        for (target, wanted) in [
            ("seed", "NODE.INPUT=VALUE"),
            ("9.seed", "there are\n  3 (v1.5 pass, KSampler)\n  6 (Positive, Text)"),
            (
                "Text.text",
                "more than one node is called \"Text\"; name one by its id:\n  6 (Positive, Text)\n  7 (",
            ),
            ("3.sed", "node 3 (v1.5 pass, KSampler) has no input \"sed\"; it has seed, mode.width, steps"),
            ("76:8.x", "node 76:8 (3, Save) has no input"),
            ("v1.5 pass.x", "has no input \"x\""),
        ] {
            let error = found(target).unwrap_err();
            assert!(error.contains(wanted), "{target}: {error}");
        }
    }
}
