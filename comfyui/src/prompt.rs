//! The prompt: the graph of nodes that ComfyUI executes ("API format"), as a document.
//!
//! Owns the shape only. Whether a prompt is valid on a server is a question to that server's `object_info`.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A graph: node id → node, in the document's order.
///
/// ```
/// use comfyui::prompt::Prompt;
///
/// let prompt: Prompt = serde_json::from_str(
///     r#"{"1": {"class_type": "EmptyImage", "inputs": {"width": 64}},
///         "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0]}}}"#,
/// )?;
/// let (input, link) = prompt.0["2"].links().next().ok_or("no link")?;
/// assert_eq!((input, link.node.as_str(), link.slot), ("images", "1", 0));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Prompt(pub IndexMap<String, Node>);

/// One node of a prompt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Node {
    /// The key of its class in `object_info`.
    pub class_type: String,
    /// Input name → a value, or a link to another node's output (see [`link`]).
    #[serde(default)]
    pub inputs: IndexMap<String, Value>,
    /// What the web interface notes about the node, such as its title; no part of the execution.
    #[serde(rename = "_meta", default, skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
    /// Everything else that the document said of the node.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl Node {
    /// The inputs that come from other nodes: (input name, where from).
    pub fn links(&self) -> impl Iterator<Item = (&str, Link)> {
        self.inputs.iter().filter_map(|(name, value)| Some((name.as_str(), link(value)?)))
    }
}

/// An output of a node.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Link {
    /// The id of the node.
    pub node: String,
    /// Which of its outputs, counted from 0.
    pub slot: u64,
}

/// Reads an input's value as a link: an array of exactly a node id and a slot, `["4", 0]`.
///
/// `None` for every other value: then it is a constant.
#[must_use]
pub fn link(value: &Value) -> Option<Link> {
    match value.as_array()?.as_slice() {
        [Value::String(node), slot] => Some(Link { node: node.clone(), slot: slot.as_u64()? }),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_link_is_an_array_of_a_node_id_and_a_slot() {
        assert_eq!(link(&json!(["4", 1])), Some(Link { node: "4".into(), slot: 1 }));
        for constant in
            [json!("4"), json!(["4"]), json!([4, 0]), json!(["4", -1]), json!(["4", 0.5]), json!(["a", 0, 1])]
        {
            assert_eq!(link(&constant), None, "{constant}");
        }
    }

    #[test]
    fn a_node_without_inputs_parses_and_what_is_unknown_survives() {
        let document =
            json!({"7": {"class_type": "X", "inputs": {}, "_meta": {"title": "t"}, "is_changed": [1]}});
        let prompt: Prompt = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(prompt.0["7"].meta, Some(json!({"title": "t"})));
        assert_eq!(serde_json::to_value(&prompt).unwrap(), document);

        let bare: Prompt = serde_json::from_value(json!({"7": {"class_type": "X"}})).unwrap();
        assert!(bare.0["7"].inputs.is_empty());
    }

    #[test]
    fn the_order_of_nodes_and_inputs_is_kept() {
        let text = r#"{"9":{"class_type":"B","inputs":{"z":1,"a":2}},"1":{"class_type":"A","inputs":{}}}"#;
        let prompt: Prompt = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&prompt).unwrap(), text);
    }
}
