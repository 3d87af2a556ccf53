//! What becomes of a prompt before it is committed: ComfyUI's own answer, given by what the fleet offers, and whether one
//! backend can run it. Pure: nothing is asked of a backend.

use std::collections::{BTreeMap, HashSet};

use axum::http::StatusCode;
use comfyui::api::PromptRejected;
use comfyui::{ObjectInfo, Prompt, Verdict, validate};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::{Refusal, read_json};
use crate::fleet::{Fleet, Missing};
use crate::job::{InputFile, Needs, Wishes};
use crate::limits;

/// A prompt that runs, in part at least.
pub(in crate::api) struct Judged {
    pub(in crate::api) needs: Needs,
    /// The output nodes that will run; empty while nothing is known of classes and the backend has to judge.
    pub(super) outputs: Vec<String>,
    /// What stands in the way of the other outputs, as ComfyUI tells it beside its acceptance.
    pub(super) node_errors: Value,
}

pub(super) fn judge(
    raw: &RawValue,
    targets: Option<&[String]>,
    wishes: &Wishes,
    fleet: &Fleet,
    is_uploaded: impl Fn(&InputFile) -> bool,
) -> Result<Judged, Refusal> {
    let nodes: Map<String, Value> = read_json(raw.get().as_bytes())?;
    if nodes.len() > limits::PROMPT_NODES {
        let message =
            format!("A prompt holds at most {} nodes, this one {}", limits::PROMPT_NODES, nodes.len());
        return Err(Refusal::bad_request("invalid_prompt", message));
    }
    if fleet.union.is_empty() {
        return unjudged(&nodes, raw, is_uploaded);
    }
    let info = fleet.union.document();
    let (outputs, node_errors) = match validate(&Value::Object(nodes), info, targets) {
        Verdict::Accepted(accepted) => (accepted.outputs, accepted.node_errors),
        Verdict::Refused(rejected) => return Err(refused(*rejected, raw, info, wishes, fleet, is_uploaded)),
        // A server answers 500 without a word.
        Verdict::Trips => return Err(Refusal::bad_request("invalid_prompt", TRIPS)),
    };
    let prompt: Prompt = read_json(raw.get().as_bytes())?;
    let classes = prompt.0.values().map(|node| node.class_type.clone()).collect();
    // A server wants every class, and of the rest only what its outputs depend on.
    let needs =
        Needs { classes, ..Needs::with_uploads(&upstream(&prompt, &outputs), Some(info), is_uploaded) };
    match lacking(fleet, wishes, &needs) {
        Some(lacking) => Err(unplaceable(&lacking)),
        None => Ok(Judged { needs, outputs, node_errors }),
    }
}

const TRIPS: &str = "Cannot execute because this is no graph that ComfyUI can read";

/// While no backend has told what it offers, only the shape can be judged.
fn unjudged(
    nodes: &Map<String, Value>,
    raw: &RawValue,
    is_uploaded: impl Fn(&InputFile) -> bool,
) -> Result<Judged, Refusal> {
    if nodes.is_empty() {
        return Err(Refusal::bad_request("prompt_no_outputs", "Prompt has no outputs"));
    }
    if let Some((id, _)) =
        nodes.iter().find(|(_, node)| !node.get("class_type").is_some_and(Value::is_string))
    {
        let message = "Cannot execute because a node is missing the class_type property.";
        return Err(Refusal::bad_request("invalid_prompt", message).details(format!("Node ID '#{id}'")));
    }
    let needs = Needs::with_uploads(&read_json(raw.get().as_bytes())?, None, is_uploaded);
    Ok(Judged { needs, outputs: Vec::new(), node_errors: json!({}) })
}

/// The nodes that these outputs depend on, with them.
fn upstream(prompt: &Prompt, outputs: &[String]) -> Prompt {
    let mut reached: HashSet<&str> = HashSet::new();
    let mut left: Vec<&str> = outputs.iter().map(String::as_str).collect();
    while let Some((id, node)) = left.pop().and_then(|id| prompt.0.get_key_value(id)) {
        if reached.insert(id) {
            left.extend(
                node.links()
                    .filter_map(|(_, link)| prompt.0.get_key_value(&link.node).map(|(id, _)| id.as_str())),
            );
        }
    }
    Prompt(
        prompt
            .0
            .iter()
            .filter(|(id, _)| reached.contains(id.as_str()))
            .map(|(id, node)| (id.clone(), node.clone()))
            .collect(),
    )
}

/// ComfyUI's own refusal; what each backend lacks besides, since one of them may lack less than another.
fn refused(
    rejected: PromptRejected,
    raw: &RawValue,
    info: &ObjectInfo,
    wishes: &Wishes,
    fleet: &Fleet,
    is_uploaded: impl Fn(&InputFile) -> bool,
) -> Refusal {
    let text = |key: &str| rejected.error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut extra_info =
        rejected.error.get("extra_info").and_then(Value::as_object).cloned().unwrap_or_default();
    let prompt: Option<Prompt> = serde_json::from_str(raw.get()).ok();
    let needs = prompt.map(|prompt| Needs::with_uploads(&prompt, Some(info), is_uploaded));
    if let Some(lacking) = needs.and_then(|needs| lacking(fleet, wishes, &needs)) {
        extra_info.insert("orchestrator".to_owned(), json!({ "lacking": lines(&lacking) }));
    }
    Refusal {
        status: StatusCode::BAD_REQUEST,
        kind: text("type").into(),
        message: text("message"),
        details: text("details"),
        extra_info: Some(Box::new(Value::Object(extra_info))),
        node_errors: Some(Box::new(rejected.node_errors)),
    }
}

type Lacking = BTreeMap<String, Missing>;

/// What each backend lacks that the job may run on; `None` if one lacks nothing, or none has told what it offers. Those that are down count by
/// what they offered last: the job waits for them. One that was never heard of counts only where none was, or a single
/// dead one would let every misspelt model wait for ever.
fn lacking(fleet: &Fleet, wishes: &Wishes, needs: &Needs) -> Option<Lacking> {
    let asked_for =
        fleet.backends.iter().filter(|backend| wishes.elsewhere(&backend.id, &backend.tags).is_none());
    let known = asked_for.filter_map(|backend| Some((backend, backend.catalog.as_ref()?)));
    let lacking: Option<Lacking> =
        known.map(|(backend, catalog)| Some((backend.id.to_string(), catalog.lacks(needs)?))).collect();
    lacking.filter(|lacking| !lacking.is_empty())
}

fn lines(lacking: &Lacking) -> Vec<String> {
    lacking.iter().map(|(backend, missing)| format!("{backend} lacks {missing}")).collect()
}

/// The fleet has all that it needs, but no backend has it together.
fn unplaceable(lacking: &Lacking) -> Refusal {
    let lines = lines(lacking);
    let refusal = Refusal::bad_request("prompt_outputs_failed_validation", "No backend can run this prompt");
    Refusal {
        node_errors: Some(Box::new(node_errors(lacking.values()))),
        extra_info: Some(Box::new(json!({ "orchestrator": { "lacking": lines } }))),
        ..refusal.details(lines.join("\n"))
    }
}

/// ComfyUI's form for a model that is not in its list.
fn node_errors<'a>(missing: impl Iterator<Item = &'a Missing>) -> Value {
    let mut nodes = Map::new();
    for missing in missing {
        let Missing::Asset(asset) = missing else { continue };
        let details = format!("{}: '{}' not in list", asset.input, asset.name);
        let extra_info = json!({ "input_name": asset.input, "received_value": asset.name });
        let error = json!({
            "type": "value_not_in_list", "message": "Value not in list", "details": details, "extra_info": extra_info,
        });
        let node = json!({ "errors": [error], "dependent_outputs": [], "class_type": asset.class });
        nodes.insert(asset.node.clone(), node);
    }
    Value::Object(nodes)
}
