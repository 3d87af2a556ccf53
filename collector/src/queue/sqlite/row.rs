//! Rows, read. What cannot be read is named, never guessed.

use std::sync::Arc;

use comfyui::api::{FileRef, files_of};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite as Db};

use super::super::store::{AttemptRecord, Documents, EndedJob, Upload};
use super::{Outcomes, damaged};
use crate::clock::UnixMillis;
use crate::id::{BackendId, BadBackendId, ClientId, JobId};
use crate::job::{Attempt, Job, Outcome, Place, Results, State};

fn parsed<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Outcomes<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|e| damaged(column)(e.to_string()))
}

fn get<'r, T: sqlx::Decode<'r, Db> + sqlx::Type<Db>>(
    row: &'r SqliteRow,
    column: &'static str,
) -> Outcomes<T> {
    row.try_get(column).map_err(|e| damaged(column)(e.to_string()))
}

fn number(row: &SqliteRow, column: &'static str) -> Outcomes<u64> {
    let value: i64 = get(row, column)?;
    u64::try_from(value).map_err(|e| damaged(column)(e.to_string()))
}

pub(super) fn digest(row: &SqliteRow, column: &'static str) -> Outcomes<[u8; 32]> {
    let bytes: Vec<u8> = get(row, column)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| damaged(column)(format!("{} bytes instead of 32", bytes.len())))
}

fn id_of(row: &SqliteRow) -> Outcomes<JobId> {
    let text: String = get(row, "id")?;
    JobId::canonical(&text).ok_or_else(|| damaged("a job's id")(text))
}

pub(super) fn place_of(row: &SqliteRow) -> Outcomes<Place> {
    Ok(Place {
        number: get(row, "number")?,
        given: get(row, "number_given")?,
        arrival: number(row, "arrival")?,
    })
}

pub(super) fn job_of(row: &SqliteRow) -> Outcomes<Job> {
    let peer: Option<String> = get(row, "peer")?;
    let client_id: Option<String> = get(row, "client_id")?;
    Ok(Job {
        id: id_of(row)?,
        place: place_of(row)?,
        client_id: client_id.as_deref().map(ClientId::new),
        peer: peer.and_then(|text| text.parse().ok()),
        needs: Arc::new(parsed(row, "needs")?),
        submitted_at: UnixMillis(number(row, "submitted_at")?),
        attempts: get(row, "attempts")?,
        spent_attempts: get(row, "spent_attempts")?,
        state: state_of(row)?,
    })
}

fn state_of(row: &SqliteRow) -> Outcomes<State> {
    match get::<String>(row, "state")?.as_str() {
        "waiting" => Ok(State::Waiting),
        "dispatched" => Ok(State::Dispatched(Attempt {
            number: get(row, "attempts")?,
            backend: backend_of(row)?,
            dispatched_at: UnixMillis(number(row, "dispatched_at")?),
            prompt_id: get(row, "prompt_id")?,
        })),
        "ended" => Ok(State::Ended(outcome_of(row)?)),
        other => Err(damaged("a job's state")(other.to_owned())),
    }
}

fn backend_of(row: &SqliteRow) -> Outcomes<BackendId> {
    let text: String = get(row, "backend")?;
    text.parse().map_err(|e: BadBackendId| damaged("a backend's name")(e.to_string()))
}

fn outcome_of(row: &SqliteRow) -> Outcomes<Outcome> {
    let text: String = get(row, "outcome")?;
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.ok_or_else(|| damaged("a job's outcome")(text))
}

pub(super) fn documents_of(row: &SqliteRow) -> Outcomes<Documents> {
    let targets: Option<String> = get(row, "partial_execution_targets")?;
    Ok(Documents {
        prompt: parsed(row, "prompt")?,
        extra_data: parsed(row, "extra_data")?,
        partial_execution_targets: match targets {
            None => None,
            Some(_) => parsed(row, "partial_execution_targets")?,
        },
        outputs_to_execute: parsed(row, "outputs_to_execute")?,
    })
}

pub(super) fn ended_of(row: &SqliteRow) -> Outcomes<EndedJob> {
    Ok(EndedJob {
        id: id_of(row)?,
        place: place_of(row)?,
        submitted_at: UnixMillis(number(row, "submitted_at")?),
        ended_at: UnixMillis(number(row, "ended_at")?),
        outcome: outcome_of(row)?,
        documents: documents_of(row)?,
        results: Results {
            outputs: parsed(row, "outputs")?,
            status: parsed(row, "status")?,
            meta: parsed(row, "meta")?,
        },
    })
}

pub(super) fn attempt_of(row: &SqliteRow) -> Outcomes<AttemptRecord> {
    Ok(AttemptRecord {
        number: get(row, "number")?,
        backend: backend_of(row)?,
        prompt_id: get(row, "prompt_id")?,
        dispatched_at: UnixMillis(number(row, "dispatched_at")?),
        ended_at: get::<Option<i64>>(row, "ended_at")?.map(|at| UnixMillis(at.unsigned_abs())),
        ending: get(row, "ending")?,
        why: get(row, "why")?,
    })
}

/// The files of a job's results, as its documents name them.
pub(super) fn made_in(row: &SqliteRow) -> Outcomes<Vec<FileRef>> {
    let outputs: serde_json::Map<String, serde_json::Value> = parsed(row, "outputs")?;
    Ok(outputs.values().flat_map(files_of).collect())
}

pub(super) fn upload_of(row: &SqliteRow) -> Outcomes<Upload> {
    Ok(Upload {
        file: FileRef {
            filename: get(row, "name")?,
            subfolder: get(row, "subfolder")?,
            kind: get(row, "kind")?,
        },
        sha256: digest(row, "sha256")?,
        size_bytes: number(row, "size_bytes")?,
    })
}
