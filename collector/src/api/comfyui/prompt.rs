//! `POST /prompt`: judged against what the fleet offers, committed, answered.

use std::collections::{BTreeMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use comfyui::Prompt;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{App, Refusal, loaded, peer_of, read_body, read_json};
use crate::fleet::{Fleet, Missing, Union};
use crate::id::{ClientId, JobId};
use crate::job::{Needs, Submission, input_file};
use crate::limits;

#[derive(Deserialize)]
struct Body {
    prompt: Option<Box<RawValue>>,
    client_id: Option<String>,
    prompt_id: Option<String>,
    #[serde(default, deserialize_with = "number")]
    number: Option<f64>,
    #[serde(default)]
    front: bool,
    extra_data: Option<Map<String, Value>>,
    partial_execution_targets: Option<Vec<String>>,
}

/// ComfyUI takes whatever Python's `float` does: a number, or a text that holds one.
fn number<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    let given = Option::<Value>::deserialize(deserializer)?;
    let unreadable = || D::Error::custom("`number` is a number");
    match given {
        None => Ok(None),
        Some(Value::String(text)) => text.trim().parse().map(Some).map_err(|_| unreadable()),
        Some(other) => other.as_f64().map(Some).ok_or_else(unreadable),
    }
}

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    let body: Body = read_json(&read_body(body)?)?;
    let Some(raw) = body.prompt.as_deref() else {
        return Err(Refusal::bad_request("no_prompt", "No prompt provided").details("No prompt provided"));
    };
    let fleet = app.fleet();
    let prompt = read_graph(raw, &fleet.union)?;
    let outputs_to_execute = outputs(&prompt, &fleet.union, body.partial_execution_targets.as_deref())?;
    let info = (!fleet.union.is_empty()).then(|| fleet.union.document());
    let mut needs = Needs::with_uploads(&prompt, info, |file| app.files.contains(&input_file(file)));
    check_placeable(&fleet, &needs)?;
    needs.outputs = loaded::with_owners(&app, needs.outputs).await?;
    let submission = submission(&app, body, needs, outputs_to_execute, address)?;
    let id = submission.id;
    let place = app.queue.submit(submission).await?;
    Ok(Json(json!({ "prompt_id": id, "number": place.number_json(), "node_errors": {} })))
}

/// The graph, or ComfyUI's own words on what is wrong with it. A class is unknown only if some backend has told what it
/// offers and none has it.
fn read_graph(raw: &RawValue, union: &Union) -> Result<Prompt, Refusal> {
    let nodes: Map<String, Value> = read_json(raw.get().as_bytes())?;
    if nodes.len() > limits::PROMPT_NODES {
        let message =
            format!("A prompt holds at most {} nodes, this one {}", limits::PROMPT_NODES, nodes.len());
        return Err(Refusal::bad_request("invalid_prompt", message));
    }
    for (id, node) in &nodes {
        let invalid = |message: String| {
            Refusal::bad_request("invalid_prompt", message).details(format!("Node ID '#{id}'"))
        };
        let Some(class) = node.get("class_type").and_then(Value::as_str) else {
            return Err(invalid("Cannot execute because a node is missing the class_type property.".into()));
        };
        if !union.is_empty() && !union.has_class(class) {
            return Err(invalid(format!("Cannot execute because node {class} does not exist.")));
        }
    }
    read_json(raw.get().as_bytes())
}

/// The output nodes that will run; none is an error. While nothing is known of classes the backend has to judge.
fn outputs(prompt: &Prompt, union: &Union, targets: Option<&[String]>) -> Result<Vec<String>, Refusal> {
    let targets: Option<HashSet<&String>> = targets.map(|targets| targets.iter().collect());
    let is_target = |id: &String| targets.as_ref().is_none_or(|targets| targets.contains(id));
    let is_output = |class: &str| union.is_output(class);
    let outputs = prompt.0.iter().filter(|(id, node)| is_target(id) && is_output(&node.class_type));
    let outputs: Vec<String> = outputs.map(|(id, _)| id.clone()).collect();
    let none = prompt.0.is_empty() || (outputs.is_empty() && !union.is_empty());
    match none {
        true => Err(Refusal::bad_request("prompt_no_outputs", "Prompt has no outputs")),
        false => Ok(outputs),
    }
}

/// Some backend must be able to run it. Those that are down count by what they offered last: the job waits for them. One
/// that was never heard of counts only where none was, or a single dead one would let every misspelt model wait for ever.
fn check_placeable(fleet: &Fleet, needs: &Needs) -> Result<(), Refusal> {
    let known = fleet.backends.iter().filter_map(|backend| Some((backend, backend.catalog.as_ref()?)));
    let mut lacking = BTreeMap::new();
    for (backend, catalog) in known {
        match catalog.lacks(needs) {
            None => return Ok(()),
            Some(missing) => lacking.insert(backend.id.to_string(), missing),
        };
    }
    if lacking.is_empty() {
        return Ok(());
    }
    let lines: Vec<String> =
        lacking.iter().map(|(backend, missing)| format!("{backend} lacks {missing}")).collect();
    let refusal = Refusal::bad_request("prompt_outputs_failed_validation", "No backend can run this prompt");
    Err(Refusal {
        node_errors: Some(Box::new(node_errors(lacking.values()))),
        extra_info: Some(Box::new(json!({ "orchestrator": { "lacking": lines } }))),
        ..refusal.details(lines.join("\n"))
    })
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

fn submission(
    app: &App,
    body: Body,
    needs: Needs,
    outputs_to_execute: Vec<String>,
    address: SocketAddr,
) -> Result<Submission, Refusal> {
    let given = body.prompt_id.as_deref().and_then(JobId::canonical);
    let client_id = body.client_id.as_deref().map(checked_client_id).transpose()?;
    let submitted_at = app.clock.now();
    let prompt = body.prompt.unwrap_or_default();
    let mut extra_data = body.extra_data.unwrap_or_default();
    let fingerprint =
        fingerprint(&prompt, &extra_data, client_id.as_ref(), body.partial_execution_targets.as_deref());
    if let Some(client_id) = &client_id {
        extra_data.insert("client_id".to_owned(), json!(client_id));
    }
    extra_data.insert("create_time".to_owned(), json!(submitted_at));
    Ok(Submission {
        id: given.unwrap_or_else(JobId::random),
        id_given: given.is_some(),
        number: body.number.filter(|number| number.is_finite()),
        front: body.front,
        client_id,
        peer: Some(peer_of(address)),
        needs,
        prompt,
        extra_data,
        partial_execution_targets: body.partial_execution_targets,
        outputs_to_execute,
        fingerprint,
        submitted_at,
    })
}

pub(super) fn checked_client_id(text: &str) -> Result<ClientId, Refusal> {
    let message = || format!("client_id is longer than {} bytes", limits::CLIENT_ID_BYTES);
    let fits = text.len() <= limits::CLIENT_ID_BYTES;
    fits.then(|| ClientId::new(text)).ok_or_else(|| Refusal::bad_request("invalid_client_id", message()))
}

/// What makes two submissions under one id the same job.
fn fingerprint(
    prompt: &RawValue,
    extra_data: &Map<String, Value>,
    client_id: Option<&ClientId>,
    targets: Option<&[String]>,
) -> [u8; 32] {
    let rest = json!([extra_data, client_id, targets]).to_string();
    Sha256::new().chain_update(prompt.get()).chain_update([0]).chain_update(rest).finalize().into()
}
