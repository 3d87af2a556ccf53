//! Validation of one node and of all that it links to, depth first, each once.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::Grounds;
use super::documents::{self, Input};
use super::python::{Thrown, convert};
use crate::comfy::files::Place;

/// The state of one validation: which nodes were looked at, and what was found.
pub(super) struct Validator<'a> {
    pub(super) nodes: Map<String, Value>,
    /// By node: whether it and all before it are valid, and its own errors.
    pub(super) results: IndexMap<String, (bool, Vec<Value>)>,
    /// Those whose validation has begun and not ended: meeting one of them again is a cycle.
    begun: Vec<String>,
    grounds: Grounds<'a>,
}

impl<'a> Validator<'a> {
    pub(super) fn new(nodes: Map<String, Value>, grounds: Grounds<'a>) -> Self {
        Self { nodes, results: IndexMap::new(), begun: Vec::new(), grounds }
    }

    /// Validates a node: whether it may run. `Err` is what Python would throw.
    pub(super) fn node(&mut self, id: &str) -> Result<bool, Thrown> {
        if let Some((valid, _)) = self.results.get(id) {
            return Ok(*valid);
        }
        if self.begun.iter().any(|begun| begun == id) {
            return Err(Thrown::recursion_error());
        }
        self.begun.push(id.to_owned());
        let class = self.class_of(&json!(id))?;
        let mut valid = true;
        let mut errors = Vec::new();
        for (name, config, required) in self.declared(&class) {
            valid &= self.input(id, &class, &name, &config, required, &mut errors)?;
        }
        errors.extend(self.custom(id, &class));
        valid &= errors.is_empty();
        self.results.insert(id.to_owned(), (valid, errors));
        Ok(valid)
    }

    /// Adds what was found so far to the document that is answered, for an output that cannot run.
    pub(super) fn report(&self, output: &str, node_errors: &mut Map<String, Value>) {
        for (id, (valid, errors)) in &self.results {
            if *valid || errors.is_empty() {
                continue;
            }
            let class = self.nodes.get(id).and_then(|node| node.get("class_type")).cloned();
            let entry = node_errors
                .entry(id.clone())
                .or_insert_with(|| json!({"errors": errors, "dependent_outputs": [], "class_type": class}));
            if let Some(outputs) = entry.get_mut("dependent_outputs").and_then(Value::as_array_mut) {
                outputs.push(json!(output));
            }
        }
    }

    fn class_of(&self, id: &Value) -> Result<String, Thrown> {
        let node = id.as_str().and_then(|id| self.nodes.get(id)).ok_or_else(|| Thrown::key_error(id))?;
        let class = node.get("class_type").and_then(Value::as_str);
        class.map(str::to_owned).ok_or_else(|| Thrown::key_error(&json!("class_type")))
    }

    /// The inputs that a class declares: name, configuration, whether required.
    fn declared(&self, class: &str) -> Vec<(String, Value, bool)> {
        let document = self.grounds.classes.get(class);
        let of = |kind: &str| {
            let inputs = document.and_then(|document| document.get("input")?.get(kind)?.as_object());
            inputs.into_iter().flatten().map(move |(name, config)| (name.clone(), config.clone()))
        };
        let required = of("required").map(|(name, config)| (name, config, true));
        let optional = of("optional").map(|(name, config)| (name, config, false));
        required.chain(optional).collect()
    }

    fn input(
        &mut self,
        id: &str,
        class: &str,
        name: &str,
        declared: &Value,
        required: bool,
        errors: &mut Vec<Value>,
    ) -> Result<bool, Thrown> {
        let inputs = self.nodes.get(id).and_then(|node| node.get("inputs"));
        let inputs = inputs.ok_or_else(|| Thrown::key_error(&json!("inputs")))?;
        let Some(value) = inputs.get(name).cloned() else {
            errors.extend(required.then(|| documents::missing(name)));
            return Ok(true);
        };
        let config = self.shown(declared);
        let input = Input { name, config: &config };
        let kind = declared.get(0).unwrap_or(&Value::Null);
        if let Value::Array(link) = &value {
            return self.link(input, kind, link, errors);
        }
        let options = declared.get(1).unwrap_or(&Value::Null);
        match self.literal(class, input, kind, options, &value) {
            Ok(converted) => self.set(id, name, converted),
            Err(error) => errors.push(error),
        }
        Ok(true)
    }

    /// The configuration of an input as error documents of the generation show it.
    fn shown(&self, declared: &Value) -> Value {
        match declared.as_array().map(Vec::as_slice) {
            Some([kind]) if self.grounds.generation.is_current() => json!([kind, {}]),
            _ => declared.clone(),
        }
    }

    fn link(
        &mut self,
        input: Input<'_>,
        kind: &Value,
        link: &[Value],
        errors: &mut Vec<Value>,
    ) -> Result<bool, Thrown> {
        let whole = Value::Array(link.to_vec());
        let [from, slot] = link else {
            errors.push(documents::bad_link(input, &whole));
            return Ok(true);
        };
        let class = self.class_of(from)?;
        let received = self.output_type(&class, slot)?;
        if !self.fits(&received, kind) {
            errors.push(documents::mismatch(input, &received, kind, &whole, self.grounds.generation));
            return Ok(true);
        }
        let from = from.as_str().unwrap_or_default().to_owned();
        match self.node(&from) {
            Ok(valid) => Ok(valid),
            Err(thrown) => {
                let reason = documents::thrown_within(&thrown, input, &whole);
                self.results.insert(from, (false, vec![reason]));
                Ok(false)
            }
        }
    }

    fn output_type(&self, class: &str, slot: &Value) -> Result<String, Thrown> {
        let outputs = self.grounds.classes.get(class).and_then(|document| document.get("output"));
        let slot = slot.as_u64().and_then(|slot| usize::try_from(slot).ok());
        let kind = slot.and_then(|slot| outputs?.get(slot)?.as_str());
        kind.map(str::to_owned).ok_or_else(Thrown::index_error)
    }

    fn fits(&self, received: &str, expected: &Value) -> bool {
        let any = self.grounds.generation.is_current() && (received == "*" || expected == "*");
        any || expected == received
    }

    fn literal(
        &self,
        class: &str,
        input: Input<'_>,
        kind: &Value,
        options: &Value,
        value: &Value,
    ) -> Result<Value, Value> {
        if let Value::Array(list) = kind {
            let fits = list.contains(value) || is_checked_by_class(class, input.name);
            return if fits {
                Ok(value.clone())
            } else {
                Err(documents::not_in_list(input, value, list, self.grounds.generation))
            };
        }
        let kind = kind.as_str().unwrap_or_default();
        let converted = convert(kind, value, self.grounds.generation.is_current())
            .map_err(|thrown| documents::not_converted(input, kind, value, &thrown))?;
        in_range(input, options, &converted)?;
        Ok(converted)
    }

    fn set(&mut self, id: &str, name: &str, value: Value) {
        let place = self.nodes.get_mut(id).and_then(|node| node.get_mut("inputs")?.get_mut(name));
        if let Some(place) = place {
            *place = value;
        }
    }

    /// What the class's own check says; among the simulated classes only `LoadImage` has one.
    fn custom(&self, id: &str, class: &str) -> Option<Value> {
        let name = self.nodes.get(id)?.get("inputs")?.get("image")?.as_str()?;
        if !is_checked_by_class(class, "image") {
            return None;
        }
        let there = Place::annotated(name).and_then(|place| self.grounds.disk.read(&place)).is_some();
        (!there).then(|| documents::custom("image", &format!("Invalid image file: {name}")))
    }
}

fn is_checked_by_class(class: &str, input: &str) -> bool {
    class == "LoadImage" && input == "image"
}

fn in_range(input: Input<'_>, options: &Value, value: &Value) -> Result<(), Value> {
    let Some(number) = value.as_f64() else { return Ok(()) };
    for (key, is_minimum) in [("min", true), ("max", false)] {
        let Some(bound) = options.get(key) else { continue };
        let limit = bound.as_f64().unwrap_or(number);
        if (is_minimum && number < limit) || (!is_minimum && number > limit) {
            return Err(documents::out_of_range(input, value, bound, is_minimum));
        }
    }
    Ok(())
}
