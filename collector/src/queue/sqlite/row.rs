//! Rows, read. What cannot be read is named, never guessed.

use std::sync::Arc;

use comfyui::api::{FileRef, files_of};
use sqlx::sqlite::SqliteRow;
use sqlx::{Row, Sqlite as Db};

use super::super::listing::ListedJob;
use super::super::retention::{Held, Remembered};
use super::super::store::{AttemptRecord, Documents, EndedJob, Upload};
use super::{Outcomes, damaged};
use crate::clock::UnixMillis;
use crate::id::{BackendId, BadBackendId, ClientId, JobId};
use crate::job::{
    Attempt, BadStanding, Brief, Job, Outcome, Place, Results, State, Summary, Wishes, execution_error,
};

fn parsed<T: serde::de::DeserializeOwned>(row: &SqliteRow, column: &'static str) -> Outcomes<T> {
    serde_json::from_str(&get::<String>(row, column)?).map_err(|e| damaged(column)(e.to_string()))
}

fn parsed_if_any<T: serde::de::DeserializeOwned>(
    row: &SqliteRow,
    column: &'static str,
) -> Outcomes<Option<T>> {
    let text: Option<String> = get(row, column)?;
    text.map(|text| serde_json::from_str(&text)).transpose().map_err(|e| damaged(column)(e.to_string()))
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

fn time(row: &SqliteRow, column: &'static str) -> Outcomes<Option<UnixMillis>> {
    Ok(get::<Option<i64>>(row, column)?.map(|at| UnixMillis(at.unsigned_abs())))
}

pub(super) fn digest(row: &SqliteRow, column: &'static str) -> Outcomes<[u8; 32]> {
    let bytes: Vec<u8> = get(row, column)?;
    bytes.try_into().map_err(|bytes: Vec<u8>| damaged(column)(format!("{} bytes instead of 32", bytes.len())))
}

pub(super) fn id_of(row: &SqliteRow) -> Outcomes<JobId> {
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
        owner: get(row, "owner")?,
        needs: Arc::new(parsed(row, "needs")?),
        wishes: Arc::new(wishes_of(row)?),
        submitted_at: UnixMillis(number(row, "submitted_at")?),
        attempts: get(row, "attempts")?,
        spent_attempts: get(row, "spent_attempts")?,
        state: state_of(row)?,
    })
}

fn wishes_of(row: &SqliteRow) -> Outcomes<Wishes> {
    Ok(parsed_if_any(row, "wishes")?.unwrap_or_default())
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
    backend(&get::<String>(row, "backend")?)
}

fn last_backend_of(row: &SqliteRow) -> Outcomes<Option<BackendId>> {
    get::<Option<String>>(row, "last_backend")?.as_deref().map(backend).transpose()
}

fn backend(text: &str) -> Outcomes<BackendId> {
    text.parse().map_err(|e: BadBackendId| damaged("a backend's name")(e.to_string()))
}

fn outcome_of(row: &SqliteRow) -> Outcomes<Outcome> {
    let text: String = get(row, "outcome")?;
    let known = Outcome::ALL.into_iter().find(|outcome| outcome.as_str() == text);
    known.ok_or_else(|| damaged("a job's outcome")(text))
}

pub(super) fn documents_of(row: &SqliteRow) -> Outcomes<Documents> {
    Ok(Documents {
        prompt: parsed(row, "prompt")?,
        extra_data: parsed(row, "extra_data")?,
        partial_execution_targets: parsed_if_any(row, "partial_execution_targets")?,
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
        wishes: wishes_of(row)?,
        documents: documents_of(row)?,
        results: results_of(row)?,
    })
}

pub(super) fn results_of(row: &SqliteRow) -> Outcomes<Results> {
    Ok(Results {
        outputs: parsed(row, "outputs")?,
        status: parsed(row, "status")?,
        meta: parsed(row, "meta")?,
    })
}

pub(super) fn listed_of(row: &SqliteRow) -> Outcomes<ListedJob> {
    let standing: String = get(row, "standing")?;
    let client_id: Option<String> = get(row, "client_id")?;
    let status: Option<serde_json::Value> = parsed_if_any(row, "status")?;
    Ok(ListedJob {
        id: id_of(row)?,
        place: place_of(row)?,
        standing: standing.parse().map_err(|e: BadStanding| damaged("a job's state")(e.to_string()))?,
        client_id: client_id.as_deref().map(ClientId::new),
        backend: last_backend_of(row)?,
        needs: parsed(row, "needs")?,
        wishes: wishes_of(row)?,
        attempts: get(row, "attempts")?,
        submitted_at: UnixMillis(number(row, "submitted_at")?),
        ended_at: time(row, "ended_at")?,
        workflow_id: get(row, "workflow_id")?,
        summary: summary_of(row)?,
        execution_error: status.as_ref().and_then(execution_error).cloned(),
    })
}

fn summary_of(row: &SqliteRow) -> Outcomes<Summary> {
    let count = |column| Ok(get::<Option<i64>>(row, column)?.unwrap_or_default().unsigned_abs());
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

pub(super) fn held_of(row: &SqliteRow) -> Outcomes<Held> {
    Ok(Held { jobs: number(row, "jobs")?, bytes: number(row, "bytes")? })
}

pub(super) fn remembered_of(row: &SqliteRow) -> Outcomes<Remembered> {
    let ended_at = UnixMillis(number(row, "ended_at")?);
    Ok(Remembered { id: id_of(row)?, ended_at, bytes: number(row, "bytes")? })
}

pub(super) fn attempt_of(row: &SqliteRow) -> Outcomes<AttemptRecord> {
    Ok(AttemptRecord {
        number: get(row, "number")?,
        backend: backend_of(row)?,
        prompt_id: get(row, "prompt_id")?,
        dispatched_at: UnixMillis(number(row, "dispatched_at")?),
        ended_at: time(row, "ended_at")?,
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
