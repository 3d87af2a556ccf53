//! The node classes of a server, as `/object_info` documents: those recorded, with the configured models.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use super::config::ComfyConfig;

/// A server's node classes by name.
#[derive(Debug)]
pub(crate) struct Classes {
    documents: Map<String, Value>,
}

impl Classes {
    pub(crate) fn new(config: &ComfyConfig) -> Self {
        // The file is part of this program, and a test reads both.
        let mut documents: Map<String, Value> =
            serde_json::from_str(config.generation.classes()).unwrap_or_default();
        let lists = BTreeMap::from([
            (("SimLoader", "ckpt_name"), config.models.as_slice()),
            (("CheckpointLoaderSimple", "ckpt_name"), config.checkpoints()),
            (("LoraLoader", "lora_name"), config.loras.as_slice()),
        ]);
        for ((class, input), names) in lists {
            choices(&mut documents, class, input, names);
        }
        for class in &config.extra_nodes {
            documents.insert(class.clone(), extra(class, config));
        }
        Self { documents }
    }

    pub(crate) fn get(&self, class: &str) -> Option<&Value> {
        self.documents.get(class)
    }

    pub(crate) fn is_output(&self, class: &str) -> bool {
        self.get(class).and_then(|document| document.get("output_node")) == Some(&Value::Bool(true))
    }

    /// One class as `/object_info/{class}` answers: with the files that can be chosen now. Empty if unknown.
    pub(crate) fn one(&self, class: &str, inputs: &[String]) -> Value {
        let mut found = Map::new();
        if let Some(document) = self.get(class) {
            found.insert(class.to_owned(), document.clone());
        }
        choices(&mut found, "LoadImage", "image", inputs);
        Value::Object(found)
    }

    /// All classes, likewise.
    pub(crate) fn all(&self, inputs: &[String]) -> Value {
        let mut all = self.documents.clone();
        choices(&mut all, "LoadImage", "image", inputs);
        Value::Object(all)
    }
}

fn choices(documents: &mut Map<String, Value>, class: &str, input: &str, names: &[String]) {
    let pointer = format!("/input/required/{input}/0");
    if let Some(list) = documents.get_mut(class).and_then(|document| document.pointer_mut(&pointer)) {
        *list = json!(names);
    }
}

fn extra(class: &str, config: &ComfyConfig) -> Value {
    let mut document = json!({
        "input": {"required": {"image": ["IMAGE"]}},
        "input_order": {"required": ["image"]},
        "output": ["IMAGE"],
        "output_is_list": [false],
        "output_name": ["IMAGE"],
        "name": class,
        "display_name": class,
        "python_module": "custom_nodes.extra",
        "category": "sim",
        "output_node": false,
    });
    if let Some(document) = document.as_object_mut().filter(|_| !config.generation.is_current()) {
        document.remove("input_order");
        document.remove("python_module");
    }
    document
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generation::Generation;

    #[test]
    fn both_generations_have_their_classes() {
        for generation in [Generation::V0_8, Generation::V2024] {
            let classes = Classes::new(&ComfyConfig { generation, ..ComfyConfig::default() });
            assert!(classes.is_output("SaveImage"));
            assert!(!classes.is_output("SimSampler"));
            assert_eq!(
                classes.get("KSampler").unwrap().get("input_order").is_some(),
                generation.is_current()
            );
        }
    }

    #[test]
    fn combos_hold_the_configured_models_and_the_uploaded_pictures() {
        let models = vec!["x.safetensors".to_owned()];
        let extra_nodes = vec!["Rare".to_owned()];
        let classes = Classes::new(&ComfyConfig { models, extra_nodes, ..ComfyConfig::default() });
        let all = classes.all(&["up.png".to_owned()]);
        assert_eq!(all["SimLoader"]["input"]["required"]["ckpt_name"][0], json!(["x.safetensors"]));
        assert_eq!(
            all["CheckpointLoaderSimple"]["input"]["required"]["ckpt_name"][0],
            json!(["x.safetensors"])
        );
        assert_eq!(all["LoadImage"]["input"]["required"]["image"][0], json!(["up.png"]));
        assert_eq!(all["Rare"]["name"], "Rare");
        assert_eq!(classes.one("NoSuchNode", &[]), json!({}));
    }
}
