//! Rows, read, whichever database they are of.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use comfyui::api::{FileRef, files_of};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::columns::Columns;
use super::error::{Outcomes, damaged};
use super::listing::ListedJob;
use super::retention::{Held, Remembered};
use super::store::{AttemptRecord, Documents, EndedJob, Upload, Use};
use crate::clock::UnixMillis;
use crate::id::{BackendId, BadBackendId, ClientId, JobId};
use crate::job::{
    Attempt, BadStanding, Brief, Course, Job, Needs, Outcome, Place, Results, State, Summary, Wishes,
    execution_error, without_backend,
};

fn parsed<T: DeserializeOwned>(row: &impl Columns, column: &'static str) -> Outcomes<T> {
    serde_json::from_str(&row.text(column)?).map_err(|e| damaged(column)(e.to_string()))
}

fn parsed_if_any<T: DeserializeOwned>(row: &impl Columns, column: &'static str) -> Outcomes<Option<T>> {
    let text = row.text_if_any(column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| damaged(column)(e.to_string()))
}

pub(super) fn numbering(row: &impl Columns, column: &'static str) -> Outcomes<u32> {
    u32::try_from(row.integer(column)?).map_err(|e| damaged(column)(e.to_string()))
}

pub(super) fn time(row: &impl Columns, column: &'static str) -> Outcomes<Option<UnixMillis>> {
    Ok(row.integer_if_any(column)?.map(|at| UnixMillis(at.unsigned_abs())))
}

fn digest(row: &impl Columns, column: &'static str) -> Outcomes<[u8; 32]> {
    row.bytes(column)?
        .try_into()
        .map_err(|bytes: Vec<u8>| damaged(column)(format!("{} bytes instead of 32", bytes.len())))
}

fn place_of(row: &impl Columns) -> Outcomes<Place> {
    Ok(Place {
        number: row.real("number")?,
        given: row.flag("number_given")?,
        arrival: row.count("arrival")?,
    })
}

pub(super) fn submitted_of(row: &impl Columns) -> Outcomes<([u8; 32], Place)> {
    Ok((digest(row, "fingerprint")?, place_of(row)?))
}

/// Reads a whole queue: what many jobs need or wish alike is parsed, and held, once.
#[derive(Default)]
pub(super) struct JobReader {
    needs: HashMap<String, Arc<Needs>>,
    wishes: HashMap<Option<String>, Arc<Wishes>>,
}

/// What the statement that loads the queue tells of one job in one text, in this order.
#[derive(Deserialize)]
struct Particulars {
    id: String,
    arrival: u64,
    number_given: u8,
    client_id: Option<String>,
    peer: Option<String>,
    owner: Option<String>,
    submitted_at: UnixMillis,
    state: LiveState,
    attempts: u32,
    spent_attempts: u32,
    backend: Option<BackendId>,
    prompt_id: Option<String>,
    dispatched_at: Option<UnixMillis>,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum LiveState {
    Waiting,
    Dispatched,
}

impl JobReader {
    pub(super) fn job_of(&mut self, row: &impl Columns) -> Outcomes<Job> {
        let text = row.text("particulars")?;
        let of: Particulars = serde_json::from_str(&text)
            .map_err(|error| damaged("a job's particulars")(format!("{error}: {text}")))?;
        let state = match of.state {
            LiveState::Waiting => State::Waiting,
            LiveState::Dispatched => State::Dispatched(of.attempt()?),
        };
        Ok(Job {
            id: JobId::canonical(&of.id).ok_or_else(|| damaged("a job's id")(of.id))?,
            place: Place { number: row.real("number")?, given: of.number_given != 0, arrival: of.arrival },
            client_id: of.client_id.as_deref().map(ClientId::new),
            peer: of.peer.and_then(|text| text.parse().ok()),
            owner: of.owner,
            needs: shared(&mut self.needs, row.text("needs")?, || parsed(row, "needs"))?,
            wishes: shared(&mut self.wishes, row.text_if_any("wishes")?, || wishes_of(row))?,
            submitted_at: of.submitted_at,
            attempts: of.attempts,
            spent_attempts: of.spent_attempts,
            state,
        })
    }
}

impl Particulars {
    fn attempt(&self) -> Outcomes<Attempt> {
        let Self { id, attempts: number, prompt_id, .. } = self;
        let missing = || damaged("a job's attempt")(format!("attempt {number} of job {id} is not there"));
        Ok(Attempt {
            number: *number,
            backend: self.backend.clone().ok_or_else(missing)?,
            dispatched_at: self.dispatched_at.ok_or_else(missing)?,
            prompt_id: prompt_id.clone(),
        })
    }
}

/// No more are remembered where they all differ.
const SHARED_MOST: usize = 4096;

fn shared<K: Eq + Hash, T>(
    known: &mut HashMap<K, Arc<T>>,
    text: K,
    read: impl FnOnce() -> Outcomes<T>,
) -> Outcomes<Arc<T>> {
    if let Some(found) = known.get(&text) {
        return Ok(Arc::clone(found));
    }
    let value = Arc::new(read()?);
    if known.len() < SHARED_MOST {
        known.insert(text, Arc::clone(&value));
    }
    Ok(value)
}

fn wishes_of(row: &impl Columns) -> Outcomes<Wishes> {
    Ok(parsed_if_any(row, "wishes")?.unwrap_or_default())
}

fn backend_of(row: &impl Columns) -> Outcomes<BackendId> {
    backend(&row.text("backend")?)
}

fn last_backend_of(row: &impl Columns) -> Outcomes<Option<BackendId>> {
    row.text_if_any("last_backend")?.as_deref().map(backend).transpose()
}

fn backend(text: &str) -> Outcomes<BackendId> {
    text.parse().map_err(|e: BadBackendId| damaged("a backend's name")(e.to_string()))
}

fn outcome_of(row: &impl Columns) -> Outcomes<Outcome> {
    let text = row.text("outcome")?;
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.ok_or_else(|| damaged("a job's outcome")(text))
}

pub(super) fn documents_of(row: &impl Columns) -> Outcomes<Documents> {
    Ok(Documents {
        prompt: parsed(row, "prompt")?,
        extra_data: parsed(row, "extra_data")?,
        partial_execution_targets: parsed_if_any(row, "partial_execution_targets")?,
        outputs_to_execute: parsed(row, "outputs_to_execute")?,
    })
}

pub(super) fn ended_of(row: &impl Columns) -> Outcomes<EndedJob> {
    Ok(EndedJob {
        id: row.job("id")?,
        place: place_of(row)?,
        submitted_at: UnixMillis(row.count("submitted_at")?),
        ended_at: UnixMillis(row.count("ended_at")?),
        outcome: outcome_of(row)?,
        wishes: wishes_of(row)?,
        documents: documents_of(row)?,
        results: results_of(row)?,
    })
}

pub(super) fn results_of(row: &impl Columns) -> Outcomes<Results> {
    Ok(Results {
        outputs: parsed(row, "outputs")?,
        status: parsed(row, "status")?,
        meta: parsed(row, "meta")?,
    })
}

pub(super) fn listed_of(row: &impl Columns) -> Outcomes<ListedJob> {
    let (standing, client_id) = (row.text("standing")?, row.text_if_any("client_id")?);
    let status: Option<serde_json::Value> = parsed_if_any(row, "status")?;
    Ok(ListedJob {
        id: row.job("id")?,
        place: place_of(row)?,
        standing: standing.parse().map_err(|e: BadStanding| damaged("a job's state")(e.to_string()))?,
        client_id: client_id.as_deref().map(ClientId::new),
        owner: row.text_if_any("owner")?,
        backend: last_backend_of(row)?,
        needs: parsed(row, "needs")?,
        wishes: wishes_of(row)?,
        attempts: numbering(row, "attempts")?,
        submitted_at: UnixMillis(row.count("submitted_at")?),
        ended_at: time(row, "ended_at")?,
        workflow_id: row.text_if_any("workflow_id")?,
        summary: summary_of(row)?,
        execution_error: status.as_ref().and_then(execution_error).cloned(),
    })
}

fn summary_of(row: &impl Columns) -> Outcomes<Summary> {
    let count = |column| Ok(row.integer_if_any(column)?.unwrap_or_default().unsigned_abs());
    Ok(Summary {
        execution_start: time(row, "execution_start")?,
        execution_end: time(row, "execution_end")?,
        outputs: Brief {
            count: count("outputs_count")?,
            previewable_count: count("previewable_outputs_count")?,
            preview: parsed_if_any(row, "preview")?,
        },
    })
}

pub(super) fn held_of(row: &impl Columns) -> Outcomes<Held> {
    Ok(Held { jobs: row.count("jobs")?, bytes: row.count("bytes")? })
}

pub(super) fn remembered_of(row: &impl Columns) -> Outcomes<Remembered> {
    let ended_at = UnixMillis(row.count("ended_at")?);
    Ok(Remembered { id: row.job("id")?, ended_at, bytes: row.count("bytes")? })
}

pub(super) fn use_of(row: &impl Columns) -> Outcomes<Use> {
    let at = |column| row.count(column).map(UnixMillis);
    Ok(Use { owner: row.text("owner")?, from: at("dispatched_at")?, to: at("ended_at")? })
}

pub(super) fn attempt_of(row: &impl Columns) -> Outcomes<AttemptRecord> {
    Ok(AttemptRecord {
        number: numbering(row, "number")?,
        backend: backend_of(row)?,
        prompt_id: row.text_if_any("prompt_id")?,
        dispatched_at: UnixMillis(row.count("dispatched_at")?),
        course: Course { started_at: time(row, "started_at")?, first_step_at: time(row, "first_step_at")? },
        ended_at: time(row, "ended_at")?,
        ending: row.text_if_any("ending")?,
        why: row.text("why")?,
    })
}

/// The files in these results that have the name once their backend's is taken off, each once.
pub(super) fn made_as(rows: &[impl Columns], file: &FileRef) -> Outcomes<Vec<FileRef>> {
    let mut places = Vec::new();
    for row in rows {
        let outputs: serde_json::Map<String, serde_json::Value> = parsed(row, "outputs")?;
        let made = outputs.values().flat_map(files_of);
        places.extend(made.filter(|made| without_backend(made).as_ref() == Some(file)));
    }
    places.sort_by(|a, b| a.subfolder.cmp(&b.subfolder));
    places.dedup();
    Ok(places)
}

/// How a file's name stands in the text of results.
pub(super) fn name_in_results(file: &FileRef) -> String {
    serde_json::Value::from(file.filename.as_str()).to_string()
}

pub(super) fn upload_of(row: &impl Columns) -> Outcomes<Upload> {
    Ok(Upload {
        file: FileRef {
            filename: row.text("name")?,
            subfolder: row.text("subfolder")?,
            kind: row.text("kind")?,
        },
        sha256: digest(row, "sha256")?,
        size_bytes: row.count("size_bytes")?,
    })
}
