//! `POST /prompt`: judged against what the fleet offers, committed, answered.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{ConnectInfo, State};
use axum::http::HeaderMap;
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::judge::{Judged, judge};
use super::{App, Asker, Refusal, loaded, loose, peer_of, read_body, read_json, wishes};
use crate::id::{ClientId, JobId};
use crate::job::{Needs, Place, Submission, Wishes, input_file};
use crate::limits;
use crate::queue::Documents;

/// The body of `POST /prompt`.
#[derive(Default, Deserialize)]
pub(crate) struct Submitting {
    pub(crate) prompt: Option<Box<RawValue>>,
    #[serde(default, deserialize_with = "loose::name")]
    pub(crate) client_id: Option<String>,
    #[serde(default, deserialize_with = "loose::name")]
    pub(crate) prompt_id: Option<String>,
    #[serde(default, deserialize_with = "loose::number")]
    pub(crate) number: Option<f64>,
    #[serde(default, deserialize_with = "loose::truth")]
    pub(crate) front: bool,
    pub(crate) extra_data: Option<Map<String, Value>>,
    pub(crate) partial_execution_targets: Option<Vec<String>>,
}

impl Submitting {
    /// Asks for what it does not ask for yet.
    pub(crate) fn ask(&mut self, more: Map<String, Value>) {
        wishes::add(self.extra_data.get_or_insert_default(), more);
    }
}

/// A job that was committed.
pub(crate) struct Accepted {
    pub(crate) id: JobId,
    pub(crate) place: Place,
    /// What stands in the way of the other outputs, by node.
    pub(crate) node_errors: Value,
}

pub(super) async fn submit(
    State(app): State<Arc<App>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    Extension(asker): Extension<Asker>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<Value>, Refusal> {
    let mut body: Submitting = read_json(&read_body(body)?)?;
    body.ask(wishes::of_headers(&headers));
    let accepted = accept(&app, body, &asker, address).await?;
    let Accepted { id, place, node_errors } = accepted;
    Ok(Json(json!({ "prompt_id": id, "number": place.number_json(), "node_errors": node_errors })))
}

/// The same prompt once more for the same client, as a new job at the end of the queue.
pub(in crate::api) async fn again(
    app: &App,
    documents: Documents,
    asker: &Asker,
    address: SocketAddr,
) -> Result<JobId, Refusal> {
    let client_id = documents.extra_data.get("client_id").and_then(Value::as_str).map(str::to_owned);
    let body = Submitting {
        prompt: Some(documents.prompt),
        client_id,
        extra_data: Some(documents.extra_data),
        partial_execution_targets: documents.partial_execution_targets,
        ..Submitting::default()
    };
    accept(app, body, asker, address).await.map(|accepted| accepted.id)
}

/// Judged and committed, whichever route it came by.
pub(crate) async fn accept(
    app: &App,
    mut body: Submitting,
    asker: &Asker,
    address: SocketAddr,
) -> Result<Accepted, Refusal> {
    let fingerprint = fingerprint(&body);
    let (wishes, mut judged) = judged(app, &mut body)?;
    judged.needs.outputs = loaded::with_owners(app, judged.needs.outputs).await?;
    let submission = Submission {
        wishes,
        needs: judged.needs,
        outputs_to_execute: judged.outputs,
        owner: asker.name().map(str::to_owned),
        max_waiting: asker.max_waiting(),
        fingerprint,
        ..submission(app, body, address)?
    };
    let id = submission.id;
    let place = app.queue.submit(submission).await?;
    Ok(Accepted { id, place, node_errors: judged.node_errors })
}

/// What it asks for and what becomes of it; nothing is kept yet.
pub(in crate::api) fn judged(app: &App, body: &mut Submitting) -> Result<(Wishes, Judged), Refusal> {
    let wishes = wishes::take(body.extra_data.get_or_insert_default(), app.clock.now())?;
    let Some(raw) = body.prompt.as_deref() else {
        return Err(Refusal::bad_request("no_prompt", "No prompt provided").details("No prompt provided"));
    };
    let targets = body.partial_execution_targets.as_deref();
    let fleet = app.fleet();
    wishes::check(&wishes, &fleet, app.webhooks.as_ref())?;
    let judged = judge(raw, targets, &wishes, &fleet, |file| app.files.contains(&input_file(file)))?;
    Ok((wishes, judged))
}

/// As the body says it, before it is judged.
fn submission(app: &App, body: Submitting, address: SocketAddr) -> Result<Submission, Refusal> {
    let given = body.prompt_id.as_deref().and_then(JobId::canonical);
    let client_id = body.client_id.as_deref().map(checked_client_id).transpose()?;
    let submitted_at = app.clock.now();
    let mut extra_data = body.extra_data.unwrap_or_default();
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
        wishes: Wishes::default(),
        needs: Needs::default(),
        prompt: body.prompt.unwrap_or_default(),
        extra_data,
        partial_execution_targets: body.partial_execution_targets,
        outputs_to_execute: Vec::new(),
        fingerprint: [0; 32],
        submitted_at,
    })
}

pub(super) fn checked_client_id(text: &str) -> Result<ClientId, Refusal> {
    let message = || format!("client_id is longer than {} bytes", limits::CLIENT_ID_BYTES);
    let fits = text.len() <= limits::CLIENT_ID_BYTES;
    fits.then(|| ClientId::new(text)).ok_or_else(|| Refusal::bad_request("invalid_client_id", message()))
}

/// What makes two submissions under one id the same job; its wishes are still in `extra_data`.
fn fingerprint(body: &Submitting) -> [u8; 32] {
    let prompt = body.prompt.as_deref().map(RawValue::get).unwrap_or_default();
    let extra_data = body.extra_data.as_ref().map_or_else(|| json!({}), |extra_data| json!(extra_data));
    let rest = json!([extra_data, body.client_id, body.partial_execution_targets]).to_string();
    Sha256::new().chain_update(prompt).chain_update([0]).chain_update(rest).finalize().into()
}
