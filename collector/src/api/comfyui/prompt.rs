//! `POST /prompt`: judged against what the fleet offers, committed, answered.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::{Extension, Json};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::judge::judge;
use super::{App, Asker, Refusal, loaded, peer_of, read_body, read_json};
use crate::id::{ClientId, JobId};
use crate::job::{Needs, Place, Submission, input_file};
use crate::limits;
use crate::queue::Documents;

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
    Extension(asker): Extension<Asker>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    let body: Body = read_json(&read_body(body)?)?;
    let Accepted { id, place, node_errors } = accept(&app, body, &asker, address).await?;
    Ok(Json(json!({ "prompt_id": id, "number": place.number_json(), "node_errors": node_errors })))
}

/// A job that is committed.
struct Accepted {
    id: JobId,
    place: Place,
    /// What stands in the way of outputs that will not run.
    node_errors: Value,
}

/// The same prompt once more for the same client, as a new job at the end of the queue.
pub(in crate::api) async fn again(
    app: &App,
    documents: Documents,
    asker: &Asker,
    address: SocketAddr,
) -> Result<JobId, Refusal> {
    let client_id = documents.extra_data.get("client_id").and_then(Value::as_str).map(str::to_owned);
    let body = Body {
        prompt: Some(documents.prompt),
        client_id,
        prompt_id: None,
        number: None,
        front: false,
        extra_data: Some(documents.extra_data),
        partial_execution_targets: documents.partial_execution_targets,
    };
    accept(app, body, asker, address).await.map(|accepted| accepted.id)
}

async fn accept(app: &App, body: Body, asker: &Asker, address: SocketAddr) -> Result<Accepted, Refusal> {
    let Some(raw) = body.prompt.as_deref() else {
        return Err(Refusal::bad_request("no_prompt", "No prompt provided").details("No prompt provided"));
    };
    let targets = body.partial_execution_targets.as_deref();
    let mut judged = judge(raw, targets, &app.fleet(), |file| app.files.contains(&input_file(file)))?;
    judged.needs.outputs = loaded::with_owners(app, judged.needs.outputs).await?;
    let mut submission = submission(app, body, judged.needs, judged.outputs, address)?;
    submission.owner = asker.name().map(str::to_owned);
    submission.max_waiting = asker.max_waiting();
    let id = submission.id;
    let place = app.queue.submit(submission).await?;
    Ok(Accepted { id, place, node_errors: judged.node_errors })
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
        owner: None,
        max_waiting: None,
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
