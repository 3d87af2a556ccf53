//! `object_info`: which node classes a server has and what each of their inputs accepts.
//!
//! Owns the document's shape, the reading of combo lists in both of their forms, and the union over several servers.
//! Whether a prompt fits is not decided here.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

mod inputs;
mod union;

pub use inputs::{InputSpec, Inputs};

/// Class name → class, as `GET /object_info` answers.
///
/// ```
/// use comfyui::ObjectInfo;
///
/// let info: ObjectInfo = serde_json::from_str(
///     r#"{"VAELoader": {"input": {"required": {"vae_name": [["a.safetensors", "b.safetensors"], {}]}},
///                       "output": ["VAE"], "output_node": false, "display_name": "Load VAE"}}"#,
/// )?;
/// let options = info.0["VAELoader"].input.required["vae_name"].combo().unwrap_or_default();
/// assert_eq!(options.len(), 2);
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ObjectInfo(pub IndexMap<String, NodeClass>);

/// One node class.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct NodeClass {
    /// What it takes.
    #[serde(default)]
    pub input: Inputs,
    /// The types of its outputs, one an output slot: an array of type names. Custom nodes put lists of options among
    /// them.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub output: Value,
    /// Whether execution can end at it. A prompt without such a node is refused.
    #[serde(default)]
    pub output_node: bool,
    /// The title that the web interface gives the node; null in many classes.
    #[serde(default)]
    pub display_name: Option<String>,
    /// Everything else: `name`, `category`, `input_order`, `output_name`, `python_module`, ...
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_class_comes_out_as_it_went_in() {
        let document = json!({"CFGNorm": {
            "input": {"required": {"strength": ["FLOAT", {"min": 0.0}]}},
            "input_order": {"required": ["strength"]},
            "output": ["MODEL", ["a", "b"]],
            "name": "CFGNorm",
            "display_name": null,
            "output_node": false,
            "api_node": false,
        }});
        let info: ObjectInfo = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(info.0["CFGNorm"].display_name, None);
        assert_eq!(serde_json::to_value(&info).unwrap(), document);
    }
}
