//! A document by itself: is it a workflow, a prompt, or something that holds them?

use serde_json::Value;

use super::{Saved, SavedError};

const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) fn read(bytes: &[u8]) -> Result<Saved, SavedError> {
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes).trim_ascii_start();
    if !matches!(text.first(), Some(b'{' | b'[')) {
        return Err(SavedError::Unknown);
    }
    let value = crate::from_slice(text).map_err(SavedError::NotJson)?;
    recognize(value).ok_or(SavedError::Unrecognized)
}

fn recognize(value: Value) -> Option<Saved> {
    if is_workflow(&value) {
        return Some(Saved { workflow: Some(value), prompt: None });
    }
    if is_prompt(&value) {
        return Some(Saved { workflow: None, prompt: Some(value) });
    }
    held(&value).or_else(|| held(only_entry(&value)?))
}

/// `{"prompt": ..., "workflow": ...}`, a body of `POST /prompt`, or an entry of the history, whose `prompt` is the array
/// of number, id, prompt, extra data and outputs.
fn held(value: &Value) -> Option<Saved> {
    let prompt = value.get("prompt");
    let queued = |index: usize| prompt?.as_array()?.get(index);
    let extra = [value.get("extra_data"), queued(3), Some(value)].into_iter().flatten();
    let workflows = extra.filter_map(|extra| extra.get("extra_pnginfo")?.get("workflow"));
    let workflow = value.get("workflow").into_iter().chain(workflows).find(|value| is_workflow(value));
    let prompt = [prompt, queued(2)].into_iter().flatten().find(|value| is_prompt(value));
    let saved = Saved { workflow: workflow.cloned(), prompt: prompt.cloned() };
    (saved != Saved::default()).then_some(saved)
}

/// A history of one job: `{"<prompt id>": {...}}`. One of several would be a guess.
fn only_entry(value: &Value) -> Option<&Value> {
    let entries = value.as_object()?;
    (entries.len() == 1).then(|| entries.values().next()).flatten()
}

fn is_workflow(value: &Value) -> bool {
    value.get("nodes").is_some_and(Value::is_array)
}

/// One node is enough: that others are malformed is for validation to say.
fn is_prompt(value: &Value) -> bool {
    let is_node = |node: &Value| node.get("class_type").is_some() || node.get("inputs").is_some();
    value.as_object().is_some_and(|nodes| nodes.values().any(is_node))
}
