//! The inputs that a node has: those of its class, with the dynamic ones expanded by what the node gives.
//!
//! Classes of ComfyUI's newer kind declare inputs that stand for others: a growing group for as many as are linked, a
//! dynamic combo for those of the chosen option, a dynamic slot for those that come with it. Their names are the group's
//! and their own with a dot between: `images.image0`.

use std::borrow::Cow;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::python::{self, Thrown};
use crate::object_info::{InputSpec, NodeClass};

const GROWING: &str = "COMFY_AUTOGROW_V3";
const DYNAMIC_COMBO: &str = "COMFY_DYNAMICCOMBO_V3";
const DYNAMIC_SLOT: &str = "COMFY_DYNAMICSLOT_V3";
const DYNAMIC: [&str; 3] = [GROWING, DYNAMIC_COMBO, DYNAMIC_SLOT];
/// No growing group has more names than this, whatever it says.
const MOST_NAMES: usize = 100;

/// One input as validation sees it.
#[derive(Debug, Clone)]
pub(super) struct Declared<'a> {
    pub(super) name: Cow<'a, str>,
    spec: &'a Value,
    /// The type's name, or the list of a combo's options.
    pub(super) kind: &'a Value,
    pub(super) settings: Option<&'a Value>,
    pub(super) is_required: bool,
    class: &'a NodeClass,
}

impl<'a> Declared<'a> {
    fn new(name: Cow<'a, str>, spec: &'a Value, is_required: bool, class: &'a NodeClass) -> Self {
        let kind = spec.get(0).unwrap_or(&Value::Null);
        Self { name, spec, kind, settings: spec.get(1), is_required, class }
    }

    /// The configuration as error documents give it.
    pub(super) fn config(&self) -> Value {
        json!([self.kind, self.settings.map_or_else(|| Cow::Owned(json!({})), Cow::Borrowed)])
    }

    /// The configuration where a value is not in the list. A server leaves out a long list here; of a document that was
    /// cut down to what a program needs, all that it says is given.
    pub(super) fn list_config(&self, is_long: bool) -> Value {
        match (is_complete(self.class), is_long) {
            (true, true) => Value::Null,
            (true, false) => self.config(),
            (false, _) => self.spec.clone(),
        }
    }

    pub(super) fn setting(&self, name: &str) -> Option<&'a Value> {
        self.settings?.get(name)
    }

    /// The name without the groups before it, where the class is one that has groups.
    pub(super) fn short_name(&self) -> &str {
        match self.name.rsplit_once('.') {
            Some((_, short)) if is_of_new_kind(self.class) => short,
            _ => &self.name,
        }
    }
}

/// Whether the document of a class is the one that its server gave, which names the module that the class is from.
fn is_complete(class: &NodeClass) -> bool {
    class.extra.contains_key("python_module")
}

/// Whether a class is of the newer kind ("V3"), which `object_info` tells by keys that only such a class always has, or
/// by types that only such a class uses.
pub(super) fn is_of_new_kind(class: &NodeClass) -> bool {
    let is = |key: &str, value: bool| class.extra.get(key) == Some(&Value::Bool(value));
    class.extra.contains_key("output_matchtypes")
        || is("deprecated", false)
        || is("experimental", false)
        || is("api_node", true)
        || class.input.iter().any(|(_, spec)| is_of_new_type(spec))
}

fn is_of_new_type(spec: &InputSpec) -> bool {
    let multiselect = spec.settings().is_some_and(|settings| settings.contains_key("multiselect"));
    multiselect || spec.kind().is_some_and(|kind| kind.starts_with("COMFY_") && kind.ends_with("_V3"))
}

/// All inputs of a node of this class that gives these `inputs`.
pub(super) fn declared<'a>(class: &'a NodeClass, inputs: &Value) -> Result<Vec<Declared<'a>>, Thrown> {
    let most = class.input.required.len() + class.input.optional.len();
    let mut expansion = Expansion { inputs, class, found: IndexMap::with_capacity(most) };
    for (group, is_required) in [(&class.input.required, true), (&class.input.optional, false)] {
        for (name, spec) in group {
            expansion.add(Cow::Borrowed(name), &spec.0, is_required)?;
        }
    }
    Ok(expansion.found.into_values().collect())
}

struct Expansion<'a, 'p> {
    inputs: &'p Value,
    class: &'a NodeClass,
    found: IndexMap<Cow<'a, str>, Declared<'a>>,
}

impl<'a> Expansion<'a, '_> {
    fn add(&mut self, name: Cow<'a, str>, spec: &'a Value, is_required: bool) -> Result<(), Thrown> {
        let kind = spec.get(0).and_then(Value::as_str).unwrap_or_default();
        if !DYNAMIC.contains(&kind) {
            self.push(name, spec, is_required);
            return Ok(());
        }
        match kind {
            GROWING => self.growing(&name, spec),
            DYNAMIC_COMBO => self.dynamic_combo(name, spec, is_required),
            _ => self.dynamic_slot(name, spec, is_required),
        }
    }

    /// One name has one declaration: the last, but required if any of them is.
    fn push(&mut self, name: Cow<'a, str>, spec: &'a Value, is_required: bool) {
        if is_required || !self.found.get(&name).is_some_and(|known| known.is_required) {
            let new = Declared::new(name.clone(), spec, is_required, self.class);
            self.found.insert(name, new);
        }
    }

    /// Those of its names that the node gives, each as the template says. The group itself is no input.
    fn growing(&mut self, group: &str, spec: &'a Value) -> Result<(), Thrown> {
        let template = spec.pointer("/1/template").unwrap_or(&Value::Null);
        let input = first_of_last_group(template.get("input"))?;
        let least = template.get("min").and_then(Value::as_u64).unwrap_or_default();
        for (position, name) in (0_u64..).zip(names(template)) {
            let name = format!("{group}.{name}");
            if python::contains(self.inputs, &Value::from(name.as_str()))? {
                self.push(Cow::Owned(name), input, position < least);
            }
        }
        Ok(())
    }

    /// The inputs of the option that the node chose, and itself. Nothing if it chose none of them.
    fn dynamic_combo(
        &mut self,
        name: Cow<'a, str>,
        spec: &'a Value,
        is_required: bool,
    ) -> Result<(), Thrown> {
        let Some(chosen) = python::get(self.inputs, &name)? else { return Ok(()) };
        let options = spec.pointer("/1/options").and_then(Value::as_array);
        let mut options = options.into_iter().flatten();
        let Some(option) =
            options.find(|option| option.get("key").is_some_and(|key| python::equal(key, chosen)))
        else {
            return Ok(());
        };
        self.group(&name, option.get("inputs"))?;
        self.push(name, spec, is_required);
        Ok(())
    }

    /// The inputs that come with a slot which the node fills, and itself.
    fn dynamic_slot(&mut self, name: Cow<'a, str>, spec: &'a Value, is_required: bool) -> Result<(), Thrown> {
        if python::contains(self.inputs, &Value::from(&*name))? {
            self.group(&name, spec.pointer("/1/inputs"))?;
            self.push(name, spec, is_required);
        }
        Ok(())
    }

    /// Nested as deep as the document, which its parser bounds.
    fn group(&mut self, group: &str, inputs: Option<&'a Value>) -> Result<(), Thrown> {
        for (kind, inputs) in inputs.and_then(Value::as_object).into_iter().flatten() {
            for (name, spec) in inputs.as_object().into_iter().flatten() {
                self.add(Cow::Owned(format!("{group}.{name}")), spec, kind == "required")?;
            }
        }
        Ok(())
    }
}

/// What a template says of each input. ComfyUI looks at the first input of every group, and throws at an empty one.
fn first_of_last_group(input: Option<&Value>) -> Result<&Value, Thrown> {
    let mut first = &Value::Null;
    for group in input.and_then(Value::as_object).into_iter().flat_map(Map::values) {
        let inputs = group.as_object().and_then(|inputs| inputs.values().next());
        first = inputs.ok_or_else(|| Thrown::index_error("list index out of range"))?;
    }
    Ok(first)
}

fn names(template: &Value) -> Vec<Cow<'_, str>> {
    if let Some(names) = template.get("names").and_then(Value::as_array) {
        return names.iter().filter_map(Value::as_str).take(MOST_NAMES).map(Cow::Borrowed).collect();
    }
    let prefix = template.get("prefix").and_then(Value::as_str);
    let most = template.get("max").and_then(Value::as_u64).unwrap_or_default().min(MOST_NAMES as u64);
    let numbered =
        prefix.into_iter().flat_map(|prefix| (0..most).map(move |number| format!("{prefix}{number}")));
    numbered.map(Cow::Owned).collect()
}
