//! The inputs of a prompt that a person most often wants to change: texts, seeds, sizes. By the names and types that nodes
//! give their inputs, so that those of any pack are found. Pure.

use comfyui::prompt::{Node, link};
use comfyui::{ObjectInfo, Prompt};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;

use crate::limits;

/// One of them.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
pub(super) struct Knob {
    kind: Kind,
    node: String,
    /// The node's title, else its class.
    title: String,
    input: String,
    /// As a text: seeds are longer than many a reader's numbers.
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum Kind {
    Text,
    Seed,
    Width,
    Height,
    Frames,
    Batch,
    Steps,
    Cfg,
}

const TEXTS: [&str; 8] = ["text", "prompt", "positive", "negative", "text_g", "text_l", "clip_l", "t5xxl"];

/// The texts first.
pub(super) fn knobs(prompt: &Prompt, info: &ObjectInfo) -> Vec<Knob> {
    let of_node = |(id, node): (&String, &Node)| {
        let constants = node.inputs.iter().filter(|(_, value)| link(value).is_none());
        let knob = |(input, value): (&String, &Value)| {
            Some(Knob {
                kind: kind(node, input, value, info)?,
                node: id.clone(),
                title: title(node).to_owned(),
                input: input.clone(),
                value: value.as_str().map_or_else(|| value.to_string(), str::to_owned),
            })
        };
        constants.filter_map(knob).collect::<Vec<_>>()
    };
    let mut knobs: Vec<Knob> = prompt.0.iter().flat_map(of_node).collect();
    knobs.sort_by_key(|knob| knob.kind);
    knobs.truncate(limits::KNOBS);
    knobs
}

fn kind(node: &Node, input: &str, value: &Value, info: &ObjectInfo) -> Option<Kind> {
    if value.is_string() {
        let spec = info.0.get(&node.class_type).and_then(|class| class.input.get(input));
        let is_text = match spec {
            Some(spec) => {
                spec.settings().and_then(|settings| settings.get("multiline")) == Some(&Value::Bool(true))
            }
            None => TEXTS.contains(&input),
        };
        return is_text.then_some(Kind::Text);
    }
    value.is_number().then_some(())?;
    match input {
        seed if seed.ends_with("seed") => Some(Kind::Seed),
        "width" => Some(Kind::Width),
        "height" => Some(Kind::Height),
        "length" | "num_frames" | "video_frames" | "frames" => Some(Kind::Frames),
        "batch_size" => Some(Kind::Batch),
        "steps" => Some(Kind::Steps),
        "cfg" => Some(Kind::Cfg),
        _ => None,
    }
}

fn title(node: &Node) -> &str {
    let title = node.meta.as_ref().and_then(|meta| meta.get("title")?.as_str());
    title.unwrap_or(&node.class_type)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_people_change_is_found_with_its_digits_and_what_nodes_give_is_not() {
        let prompt = serde_json::from_value(json!({
            "3": {"class_type": "KSampler", "inputs": {"seed": u64::MAX, "steps": 20, "cfg": 7.5, "denoise": 1.0,
                                                       "sampler_name": "euler", "positive": ["6", 0]}},
            "5": {"class_type": "EmptyLatentImage", "inputs": {"width": 1024, "height": ["9", 0], "batch_size": 1}},
            "6": {"class_type": "CLIPTextEncode", "inputs": {"text": "a cat", "clip": ["4", 1]},
                  "_meta": {"title": "Positive"}},
            "7": {"class_type": "Unheard", "inputs": {"text": "words", "name": "x", "noise_seed": 3}},
            "8": {"class_type": "Save", "inputs": {"filename_prefix": "ComfyUI", "text": "one line"}},
        }));
        let info = serde_json::from_value(json!({
            "CLIPTextEncode": {"input": {"required": {"text": ["STRING", {"multiline": true}]}}},
            "Save": {"input": {"required": {"filename_prefix": ["STRING", {}], "text": ["STRING", {}]}}},
        }));
        let found = knobs(&prompt.unwrap(), &info.unwrap());
        let found: Vec<String> = found
            .iter()
            .map(|knob| format!("{:?} {}.{} {}", knob.kind, knob.title, knob.input, knob.value))
            .collect();
        assert_eq!(
            found,
            [
                "Text Positive.text a cat",
                "Text Unheard.text words",
                "Seed KSampler.seed 18446744073709551615",
                "Seed Unheard.noise_seed 3",
                "Width EmptyLatentImage.width 1024",
                "Batch EmptyLatentImage.batch_size 1",
                "Steps KSampler.steps 20",
                "Cfg KSampler.cfg 7.5",
            ]
        );
    }

    #[test]
    fn a_graph_of_many_nodes_has_no_more_of_them_than_the_bound() {
        let node =
            || serde_json::from_value::<Node>(json!({"class_type": "K", "inputs": {"seed": 1}})).unwrap();
        let prompt = Prompt((0..limits::KNOBS + 9).map(|id| (id.to_string(), node())).collect());
        assert_eq!(knobs(&prompt, &ObjectInfo::default()).len(), limits::KNOBS);
    }
}
