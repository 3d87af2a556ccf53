//! What a server answers to a prompt before it runs: the recorded documents of both generations.
//!
//! Pure but for the look whether an uploaded picture is there. Converts values in the prompt as ComfyUI does.

mod documents;
mod node;
mod python;

use serde_json::{Map, Value, json};

use super::classes::Classes;
use super::files::Disk;
use crate::generation::Generation;
use documents::{no_outputs, refusal, thrown_at};
use node::Validator;

/// What validation looks at besides the prompt.
#[derive(Clone, Copy)]
pub(crate) struct Grounds<'a> {
    pub(crate) generation: Generation,
    pub(crate) classes: &'a Classes,
    pub(crate) disk: &'a Disk,
}

/// What validation says.
#[derive(Debug)]
pub(crate) enum Verdict {
    /// These outputs run. `node_errors` speaks of the others.
    Runs { prompt: Value, outputs: Vec<String>, node_errors: Value },
    /// Nothing runs.
    Refused { error: Value, node_errors: Value },
    /// The server trips over it: a 500.
    Trips,
}

/// Validates a prompt. `targets` are the only outputs wanted, where the client named some.
pub(crate) fn validate(prompt: &Value, targets: Option<&[String]>, grounds: Grounds<'_>) -> Verdict {
    let Some(nodes) = prompt.as_object() else { return Verdict::Trips };
    let outputs = match find_outputs(nodes, targets, grounds) {
        Ok(outputs) => outputs,
        Err(verdict) => return *verdict,
    };
    if outputs.is_empty() {
        return Verdict::Refused { error: no_outputs(), node_errors: empty_errors(grounds.generation) };
    }
    judge(nodes.clone(), &outputs, grounds)
}

/// The `node_errors` of a refusal that names no node.
pub(crate) fn empty_errors(generation: Generation) -> Value {
    if generation.is_current() { json!({}) } else { json!([]) }
}

fn find_outputs(
    nodes: &Map<String, Value>,
    targets: Option<&[String]>,
    grounds: Grounds<'_>,
) -> Result<Vec<String>, Box<Verdict>> {
    let mut outputs = Vec::new();
    for (id, node) in nodes {
        let class = node
            .as_object()
            .ok_or_else(|| Box::new(Verdict::Trips))?
            .get("class_type")
            .and_then(Value::as_str);
        let known = class.filter(|class| grounds.classes.get(class).is_some());
        match known {
            Some(class) if grounds.classes.is_output(class) => {
                if targets.is_none_or(|targets| targets.contains(id)) {
                    outputs.push(id.clone());
                }
            }
            Some(_) => {}
            None if grounds.generation.is_current() => return Err(Box::new(refusal_of_class(id, class))),
            None => return Err(Box::new(Verdict::Trips)),
        }
    }
    Ok(outputs)
}

fn refusal_of_class(id: &str, class: Option<&str>) -> Verdict {
    let message = match class {
        Some(class) => format!("Cannot execute because node {class} does not exist."),
        None => "Cannot execute because a node is missing the class_type property.".to_owned(),
    };
    let error = refusal("invalid_prompt", &message, &format!("Node ID '#{id}'"));
    Verdict::Refused { error, node_errors: json!({}) }
}

fn judge(nodes: Map<String, Value>, outputs: &[String], grounds: Grounds<'_>) -> Verdict {
    let mut validator = Validator::new(nodes, grounds);
    let mut good = Vec::new();
    let mut complaints = Vec::new();
    let mut node_errors = Map::new();
    for output in outputs {
        if let Err(thrown) = validator.node(output) {
            validator.results.insert(output.clone(), (false, vec![thrown_at(&thrown)]));
        }
        let (valid, reasons) = validator.results.get(output).cloned().unwrap_or_default();
        if valid {
            good.push(output.clone());
        } else {
            complaints.extend(reasons);
            validator.report(output, &mut node_errors);
        }
    }
    let node_errors = Value::Object(node_errors);
    if good.is_empty() {
        let details: Vec<String> = complaints.iter().map(complaint).collect();
        let error = refusal(
            "prompt_outputs_failed_validation",
            "Prompt outputs failed validation",
            &details.join("\n"),
        );
        return Verdict::Refused { error, node_errors };
    }
    Verdict::Runs { prompt: Value::Object(validator.nodes), outputs: good, node_errors }
}

fn complaint(error: &Value) -> String {
    let text = |key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    format!("{}: {}", text("message"), text("details"))
}
