//! `POST /prompt`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::answer::{document, json, parsed, trouble};
use crate::comfy::process::{Process, now_ms};
use crate::comfy::queue::Item;
use crate::comfy::validate::{Grounds, Verdict, empty_errors, validate};

pub(super) async fn submit(State(process): State<Arc<Process>>, body: Bytes) -> Response {
    match parsed(&body) {
        Ok(Value::Object(request)) => accept(&process, request),
        Ok(_) => trouble(),
        Err(response) => *response,
    }
}

fn accept(process: &Process, request: Map<String, Value>) -> Response {
    // Taken before validation: refused prompts use up numbers too.
    let Some(number) = number(process, &request) else { return trouble() };
    let Some(prompt) = request.get("prompt") else { return no_prompt(process) };
    let targets = targets(process, &request);
    let rig = &process.rig;
    let grounds = Grounds { generation: process.generation(), classes: &rig.classes, disk: &rig.disk };
    match validate(prompt, targets.as_deref(), grounds) {
        Verdict::Trips => trouble(),
        Verdict::Refused { error, node_errors } => refused(process, &error, &node_errors),
        Verdict::Runs { prompt, outputs, node_errors } => {
            let prompt_id = prompt_id(process, &request);
            let answer = json!({"prompt_id": prompt_id, "number": number, "node_errors": node_errors});
            let extra_data = extra_data(process, &request);
            process.enqueue(Item { number, prompt_id, prompt, extra_data, outputs });
            json(&answer)
        }
    }
}

fn refused(process: &Process, error: &Value, node_errors: &Value) -> Response {
    process.rig.board.count(|counters| counters.refused += 1);
    document(StatusCode::BAD_REQUEST, &json!({"error": error, "node_errors": node_errors}))
}

fn no_prompt(process: &Process) -> Response {
    let error = if process.generation().is_current() {
        json!({
            "type": "no_prompt",
            "message": "No prompt provided",
            "details": "No prompt provided",
            "extra_info": {},
        })
    } else {
        json!("no prompt")
    };
    refused(process, &error, &empty_errors(process.generation()))
}

/// The client's number as a float, else the next whole one, negative for the front. `None`: not a number.
fn number(process: &Process, request: &Map<String, Value>) -> Option<Value> {
    match request.get("number") {
        Some(Value::String(text)) => text.trim().parse::<f64>().ok().map(Value::from),
        Some(given) => given.as_f64().map(Value::from),
        None => {
            let number = i64::try_from(process.take_number()).ok()?;
            let is_front = request.get("front") == Some(&Value::Bool(true));
            Some(Value::from(if is_front { -number } else { number }))
        }
    }
}

fn prompt_id(process: &Process, request: &Map<String, Value>) -> String {
    let given = request.get("prompt_id").filter(|_| process.generation().is_current());
    match given {
        Some(Value::String(id)) => id.clone(),
        Some(other) => other.to_string(),
        None => Uuid::new_v4().to_string(),
    }
}

fn targets(process: &Process, request: &Map<String, Value>) -> Option<Vec<String>> {
    let named = request.get("partial_execution_targets").filter(|_| process.generation().is_current());
    let ids = named?.as_array()?.iter().filter_map(Value::as_str);
    Some(ids.map(str::to_owned).collect())
}

fn extra_data(process: &Process, request: &Map<String, Value>) -> Value {
    let mut extra = request.get("extra_data").and_then(Value::as_object).cloned().unwrap_or_default();
    if let Some(client_id) = request.get("client_id") {
        extra.insert("client_id".to_owned(), client_id.clone());
    }
    if process.generation().is_current() {
        extra.insert("create_time".to_owned(), json!(now_ms()));
    }
    Value::Object(extra)
}
