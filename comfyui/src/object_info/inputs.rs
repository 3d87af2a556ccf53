//! The inputs of a node class and what one input accepts.

use indexmap::IndexMap;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

/// The inputs of a class by who gives them.
///
/// Reads every object: a group that is empty or malformed (custom nodes are written by many hands) stays in `extra`,
/// so that the document survives a round trip and one odd class does not cost the whole `object_info`.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Inputs {
    /// What a prompt must give, in order.
    pub required: IndexMap<String, InputSpec>,
    /// What a prompt may give, in order.
    pub optional: IndexMap<String, InputSpec>,
    /// What the server fills in (`prompt`, `extra_pnginfo`, `unique_id`); null when there is none.
    pub hidden: Value,
    /// Everything else.
    pub extra: Map<String, Value>,
}

impl Inputs {
    /// All inputs that a prompt may name, the required first.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &InputSpec)> {
        self.required.iter().chain(&self.optional).map(|(name, spec)| (name.as_str(), spec))
    }

    /// What the input of this name accepts, required or optional.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&InputSpec> {
        self.required.get(name).or_else(|| self.optional.get(name))
    }
}

impl<'de> Deserialize<'de> for Inputs {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut extra = Map::deserialize(deserializer)?;
        Ok(Self {
            required: take_group(&mut extra, "required"),
            optional: take_group(&mut extra, "optional"),
            hidden: extra.shift_remove("hidden").unwrap_or_default(),
            extra,
        })
    }
}

fn take_group(document: &mut Map<String, Value>, name: &str) -> IndexMap<String, InputSpec> {
    match document.shift_remove(name) {
        Some(Value::Object(group)) if !group.is_empty() => {
            group.into_iter().map(|(input, spec)| (input, InputSpec(spec))).collect()
        }
        Some(empty_or_malformed) => {
            document.insert(name.to_owned(), empty_or_malformed);
            IndexMap::new()
        }
        None => IndexMap::new(),
    }
}

impl Serialize for Inputs {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let groups = [("required", &self.required), ("optional", &self.optional)];
        let filled: Vec<_> = groups.into_iter().filter(|(_, group)| !group.is_empty()).collect();
        let rest = self.extra.iter().filter(|(key, _)| !filled.iter().any(|(name, _)| name == key));
        let entries = filled
            .iter()
            .map(|(name, group)| (*name, Part::Group(group)))
            .chain((!self.hidden.is_null()).then_some(("hidden", Part::Value(&self.hidden))))
            .chain(rest.map(|(key, value)| (key.as_str(), Part::Value(value))));
        serializer.collect_map(entries)
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Group(&'a IndexMap<String, InputSpec>),
    Value(&'a Value),
}

/// What one input accepts: `[type]` or `[type, options]`, where a combo's type is the list of its options itself
/// (`[["a", "b"], {...}]`) or, in newer nodes, the word `COMBO` (`["COMBO", {"options": ["a", "b"]}]`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct InputSpec(pub Value);

impl InputSpec {
    /// The type's name, such as `INT` or `MODEL`; `COMBO` for both forms of a combo. `None` if malformed.
    #[must_use]
    pub fn kind(&self) -> Option<&str> {
        match self.0.get(0)? {
            Value::String(kind) => Some(kind),
            Value::Array(_) => Some(COMBO),
            _ => None,
        }
    }

    /// What a combo lets choose from. `None` when the input is no combo, or its options are only known elsewhere
    /// (a combo that the web interface fills from a remote address).
    #[must_use]
    pub fn combo(&self) -> Option<&[Value]> {
        match self.0.get(0)? {
            Value::Array(options) => Some(options),
            Value::String(kind) if kind == COMBO => {
                self.0.get(1)?.get("options")?.as_array().map(Vec::as_slice)
            }
            _ => None,
        }
    }

    /// The settings beside the type (`default`, `min`, `max`, ...), if there are any.
    #[must_use]
    pub fn settings(&self) -> Option<&Map<String, Value>> {
        self.0.get(1)?.as_object()
    }

    /// Whether it chooses among files that clients upload: `image_upload`, `video_upload`, `audio_upload`,
    /// `file_upload`, `upload`, ... set, or `image_folder` given.
    #[must_use]
    pub fn takes_uploads(&self) -> bool {
        let is_upload = |name: &str| name == "upload" || name.ends_with("_upload");
        self.settings().is_some_and(|settings| {
            settings.contains_key("image_folder")
                || settings.iter().any(|(name, value)| is_upload(name) && value.as_bool() == Some(true))
        })
    }

    /// The list behind [`combo`](Self::combo), to add to.
    pub(super) fn combo_mut(&mut self) -> Option<&mut Vec<Value>> {
        let is_word = self.0.get(0)?.as_str() == Some(COMBO);
        let list = if is_word { self.0.get_mut(1)?.get_mut("options")? } else { self.0.get_mut(0)? };
        list.as_array_mut()
    }
}

const COMBO: &str = "COMBO";

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn both_forms_of_a_combo_give_their_options() {
        for form in [
            json!([["a", "b"], {"default": "a"}]),
            json!([["a", "b"]]),
            json!(["COMBO", {"options": ["a", "b"]}]),
        ] {
            let spec = InputSpec(form);
            assert_eq!(spec.kind(), Some("COMBO"));
            assert_eq!(spec.combo(), Some([json!("a"), json!("b")].as_slice()));
        }
    }

    #[test]
    fn what_is_no_combo_has_no_options() {
        for (form, kind) in [
            (json!(["INT", {"min": 0}]), Some("INT")),
            (json!(["COMBO", {"remote": {}}]), Some("COMBO")),
            (json!(["COMBO"]), Some("COMBO")),
            (json!("IMAGE"), None),
            (json!([]), None),
        ] {
            let spec = InputSpec(form);
            assert_eq!((spec.kind(), spec.combo()), (kind, None), "{}", spec.0);
        }
    }

    #[test]
    fn empty_and_malformed_groups_survive_a_round_trip() {
        for document in [
            json!({}),
            json!({"required": {}}),
            json!({"required": {"a": ["INT"]}, "optional": {}, "hidden": {"p": "PROMPT"}}),
            json!({"required": null, "optional": {"b": "IMAGE"}, "hidden": ["PROMPT"], "new": 1}),
        ] {
            let inputs: Inputs = serde_json::from_value(document.clone()).unwrap();
            assert_eq!(serde_json::to_value(&inputs).unwrap(), document);
        }
    }

    #[test]
    fn an_input_added_to_an_empty_group_is_written_once() {
        let mut inputs: Inputs = serde_json::from_value(json!({"required": {}})).unwrap();
        inputs.required.insert("a".into(), InputSpec(json!(["INT"])));
        assert_eq!(serde_json::to_string(&inputs).unwrap(), r#"{"required":{"a":["INT"]}}"#);
    }
}
