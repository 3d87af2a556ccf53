//! What a prompt needs of the backend that runs it: node classes, model files, files that clients uploaded. Pure.

use std::collections::BTreeSet;
use std::fmt;

use comfyui::prompt::Prompt;
use serde::{Deserialize, Serialize};

/// File endings of models: what ComfyUI's own loaders list, and what widespread node packs add to them.
const MODEL_ENDINGS: [&str; 10] =
    [".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx"];

/// Additive: rows written by earlier versions must load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Needs {
    pub classes: BTreeSet<String>,
    pub assets: Vec<Asset>,
    pub files: Vec<InputFile>,
}

/// A model file that a node names. Whether the input really chooses among model files, a backend's `object_info` tells.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asset {
    pub node: String,
    pub class: String,
    pub input: String,
    pub name: String,
}

/// An uploaded file that a node names, to be delivered before the job runs.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InputFile {
    pub subfolder: String,
    pub name: String,
}

/// The model files of a prompt, sorted: what load and run times are learned by.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ModelSet(pub BTreeSet<String>);

impl fmt::Display for ModelSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("no model");
        }
        f.write_str(&self.0.iter().map(String::as_str).collect::<Vec<_>>().join(" + "))
    }
}

impl Needs {
    /// `is_uploaded` tells whether a file of that subfolder and name was uploaded.
    pub fn of(prompt: &Prompt, is_uploaded: impl Fn(&InputFile) -> bool) -> Self {
        let mut needs = Self::default();
        for (id, node) in &prompt.0 {
            needs.classes.insert(node.class_type.clone());
            let texts = node.inputs.iter().filter_map(|(input, value)| Some((input, value.as_str()?)));
            for (input, text) in texts {
                let file = InputFile::named_by(text);
                if is_model_file(text) {
                    let (node, class) = (id.clone(), node.class_type.clone());
                    needs.assets.push(Asset { node, class, input: input.clone(), name: text.to_owned() });
                } else if is_uploaded(&file) && !needs.files.contains(&file) {
                    needs.files.push(file);
                }
            }
        }
        needs
    }

    pub fn models(&self) -> ModelSet {
        ModelSet(self.assets.iter().map(|asset| asset.name.clone()).collect())
    }
}

fn is_model_file(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    MODEL_ENDINGS.iter().any(|ending| text.ends_with(ending))
}

impl InputFile {
    /// Reads a value as ComfyUI's `LoadImage` does: `name`, `sub/folder/name`, with or without ` [input]` behind it.
    pub fn named_by(text: &str) -> Self {
        let path = text.strip_suffix(" [input]").unwrap_or(text);
        let (subfolder, name) = path.rsplit_once('/').unwrap_or(("", path));
        Self { subfolder: subfolder.to_owned(), name: name.to_owned() }
    }
}

impl fmt::Display for InputFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.subfolder.is_empty() {
            f.write_str(&self.name)
        } else {
            write!(f, "{}/{}", self.subfolder, self.name)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needs_of(json: serde_json::Value) -> Needs {
        let uploaded = ["cat.png", "orchestrator/dog.png"];
        Needs::of(&serde_json::from_value(json).unwrap(), |file| {
            uploaded.contains(&file.to_string().as_str())
        })
    }

    #[test]
    fn model_files_and_uploads_are_found_in_any_node() {
        let needs = needs_of(serde_json::json!({
            "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "SDXL/base.safetensors"}},
            "2": {"class_type": "LoraLoader", "inputs": {"lora_name": "a.Safetensors", "model": ["1", 0], "strength": 1.0}},
            "3": {"class_type": "LoadImage", "inputs": {"image": "orchestrator/dog.png [input]"}},
            "4": {"class_type": "LoadImage", "inputs": {"image": "cat.png"}},
            "5": {"class_type": "LoadImage", "inputs": {"image": "elsewhere.png"}},
        }));
        assert_eq!(needs.models().to_string(), "SDXL/base.safetensors + a.Safetensors");
        assert_eq!(
            needs.files.iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["orchestrator/dog.png", "cat.png"]
        );
        assert_eq!(needs.classes.len(), 3);
    }

    #[test]
    fn needs_written_by_an_earlier_version_load() {
        let needs: Needs = serde_json::from_str(r#"{"classes":["A"]}"#).unwrap();
        assert_eq!(needs.classes.len(), 1);
        assert_eq!(serde_json::from_str::<Needs>("{}").unwrap(), Needs::default());
    }
}
