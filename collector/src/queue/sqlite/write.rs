//! Writes, each a few statements of the transaction that the queue's writer commits.

use sqlx::{Sqlite as Db, Transaction};

use super::super::copies::{Made, Wanted};
use super::super::error::{Outcomes, damaged, failed};
use super::super::notices::too_many;
use crate::clock::UnixMillis;
use crate::id::{ClientId, JobId};
use crate::job::{Change, Course, Notice, Place, Submission, Summary, owner_of};
use crate::limits;

/// False where a job of this id is there already.
pub(super) async fn submit(
    db: &mut Transaction<'_, Db>,
    submission: &Submission,
    arrival: u64,
) -> Outcomes<bool> {
    let (id, place) = (submission.id.to_string(), Place::new(submission.number, submission.front, arrival));
    let (prompt, extra_data) = (submission.prompt.get(), json(&submission.extra_data)?);
    let insert = sqlx::query(
        "INSERT INTO job (id, arrival, number, number_given, client_id, peer, owner, needs, wishes, fingerprint, submitted_at, state, \
         workflow_id, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', ?, ?) ON CONFLICT (id) DO NOTHING",
    )
    .bind(&id)
    .bind(place.arrival.cast_signed())
    .bind(place.number)
    .bind(place.given)
    .bind(submission.client_id.as_ref().map(ClientId::as_str))
    .bind(submission.peer.map(|peer| peer.to_string()))
    .bind(submission.owner.as_deref())
    .bind(json(&submission.needs)?)
    .bind((!submission.wishes.is_empty()).then(|| json(&submission.wishes)).transpose()?)
    .bind(submission.fingerprint.as_slice())
    .bind(millis(submission.submitted_at))
    .bind(submission.workflow_id())
    .bind((prompt.len() + extra_data.len()) as i64);
    if execute(db, insert, "write a job").await? == 0 {
        return Ok(false);
    }
    let insert = sqlx::query("INSERT INTO document VALUES (?, ?, ?, ?, ?)")
        .bind(&id)
        .bind(prompt)
        .bind(extra_data)
        .bind(submission.partial_execution_targets.as_ref().map(json).transpose()?)
        .bind(json(&submission.outputs_to_execute)?);
    execute(db, insert, "write a prompt").await.map(|_| true)
}

pub(super) async fn forget(
    db: &mut Transaction<'_, Db>,
    jobs: &[JobId],
    owner: Option<&str>,
) -> Outcomes<()> {
    for job in jobs {
        let query = "DELETE FROM job WHERE id = ?1 AND state = 'ended' AND (?2 IS NULL OR owner = ?2)";
        let id = job.to_string();
        if execute(db, sqlx::query(query).bind(&id).bind(owner), "forget a job").await? > 0 {
            // One that waits is sent all the same.
            let query = sqlx::query("DELETE FROM webhook WHERE job_id = ? AND state <> 'waiting'");
            execute(db, query.bind(&id), "forget a webhook").await?;
        }
    }
    Ok(())
}

/// Beyond the bound it is given up at once. One of a job of the same id, which was forgotten, gives way.
const NOTIFY: &str = "\
    INSERT INTO webhook (job_id, url, body, state, created_at, due_at, error) \
    SELECT ?1, ?2, iif(is_full, NULL, ?3), iif(is_full, 'given_up', 'waiting'), ?4, iif(is_full, NULL, ?4), \
           iif(is_full, ?5, NULL) \
    FROM (SELECT count(*) >= ?6 AS is_full FROM webhook WHERE state = 'waiting')";

pub(super) async fn notify(db: &mut Transaction<'_, Db>, notice: &Notice) -> Outcomes<()> {
    let id = notice.job.to_string();
    let earlier = sqlx::query("DELETE FROM webhook WHERE job_id = ?").bind(&id);
    execute(db, earlier, "write a webhook").await?;
    let insert = sqlx::query(NOTIFY)
        .bind(&id)
        .bind(notice.url.as_str())
        .bind(&notice.body)
        .bind(millis(notice.at))
        .bind(too_many())
        .bind(limits::WEBHOOKS_WAITING as i64);
    execute(db, insert, "write a webhook").await.map(drop)
}

pub(super) async fn archive(db: &mut Transaction<'_, Db>, made: &Made) -> Outcomes<()> {
    let (files, found) =
        (made.files.iter().map(|file| (file, true)), made.found.iter().map(|file| (file, false)));
    for (file, is_new) in files.chain(found) {
        let Some((backend, _)) = owner_of(file) else { continue };
        let sql = match (made.wanted, is_new) {
            (Wanted::All, true) => WANT_NEW,
            (Wanted::All, false) => WANT_FOUND,
            (Wanted::Known, true) => WANT_KNOWN,
            (Wanted::Known, false) | (Wanted::None, _) => continue,
        };
        let insert = sqlx::query(sql).bind(&file.subfolder).bind(&file.filename).bind(backend.as_str());
        execute(db, insert.bind(millis(made.at)), "write that copies are wanted").await?;
    }
    Ok(())
}

const WANT_NEW: &str = "\
    INSERT INTO copy (subfolder, name, backend, wants, wanted_at, due_at) VALUES (?1, ?2, ?3, 1, ?4, ?4) \
    ON CONFLICT (subfolder, name) DO UPDATE SET wants = wants + 1, due_at = ?4, wanted_at = iif(due_at IS NULL, ?4, wanted_at)";
const WANT_FOUND: &str = "\
    INSERT INTO copy (subfolder, name, backend, wants, wanted_at, due_at) VALUES (?1, ?2, ?3, 1, ?4, ?4) \
    ON CONFLICT DO NOTHING";
const WANT_KNOWN: &str = "\
    UPDATE copy SET wants = wants + 1, due_at = ?4, wanted_at = iif(due_at IS NULL, ?4, wanted_at) \
    WHERE subfolder = ?1 AND name = ?2 AND backend = ?3";

pub(super) async fn record(db: &mut Transaction<'_, Db>, change: &Change) -> Outcomes<()> {
    match change {
        Change::Dispatch { job, backend, at, why } => {
            let update = sqlx::query(
                "UPDATE job SET state = 'dispatched', attempts = attempts + 1, last_backend = ? WHERE id = ?",
            );
            execute(db, update.bind(backend.as_str()).bind(job.to_string()), "write a dispatch").await?;
            let insert = sqlx::query(
                "INSERT INTO attempt (job_id, number, backend, dispatched_at, why) \
                 SELECT id, attempts, ?, ?, ? FROM job WHERE id = ?",
            );
            let insert = insert.bind(backend.as_str()).bind(millis(*at)).bind(why).bind(job.to_string());
            execute(db, insert, "write a dispatch").await?;
        }
        Change::Accept { job, attempt, prompt_id } => {
            let update = sqlx::query("UPDATE attempt SET prompt_id = ? WHERE job_id = ? AND number = ?");
            let update = update.bind(prompt_id).bind(job.to_string()).bind(attempt);
            execute(db, update, "write a backend's answer").await?;
        }
        Change::Requeue { job, attempt, spent, at, reason, course } => {
            end_attempt(db, *job, *attempt, *at, reason, *course).await?;
            let update = sqlx::query(
                "UPDATE job SET state = 'waiting', spent_attempts = spent_attempts + ? WHERE id = ?",
            );
            execute(db, update.bind(spent).bind(job.to_string()), "write that a job waits again").await?;
        }
        Change::Move { job, number } => {
            let update = sqlx::query("UPDATE job SET number = ?, number_given = true WHERE id = ?");
            execute(db, update.bind(number).bind(job.to_string()), "write a job's place").await?;
        }
        Change::Prefer { job, priority } => {
            let update = sqlx::query(
                "UPDATE job SET wishes = json_set(coalesce(wishes, '{}'), '$.priority', ?) WHERE id = ?",
            );
            execute(db, update.bind(priority).bind(job.to_string()), "write a job's priority").await?;
        }
        Change::End { job, attempt, at, outcome, results, course } => {
            if let Some(attempt) = attempt {
                end_attempt(db, *job, *attempt, *at, outcome.as_str(), *course).await?;
            }
            let (outputs, status, meta) =
                (json(&results.outputs)?, json(&results.status)?, json(&results.meta)?);
            let update = sqlx::query(
                "UPDATE job SET execution_start = ?, execution_end = ?, outputs_count = ?, previewable_outputs_count = ?, \
                 preview = ?, state = 'ended', outcome = ?, ended_at = ?, bytes = bytes + ? WHERE id = ?",
            );
            let bytes = outputs.len() + status.len() + meta.len();
            let update = bind_summary(update, &Summary::of(results))?;
            let update = update.bind(outcome.as_str()).bind(millis(*at)).bind(bytes as i64);
            execute(db, update.bind(job.to_string()), "write a job's end").await?;
            let insert = sqlx::query("INSERT INTO result VALUES (?, ?, ?, ?)").bind(job.to_string());
            execute(db, insert.bind(outputs).bind(status).bind(meta), "write a job's results").await?;
        }
    }
    Ok(())
}

async fn end_attempt(
    db: &mut Transaction<'_, Db>,
    job: JobId,
    attempt: u32,
    at: UnixMillis,
    ending: &str,
    course: Course,
) -> Outcomes<()> {
    let update = sqlx::query(
        "UPDATE attempt SET ended_at = ?, ending = ?, started_at = ?, first_step_at = ? \
         WHERE job_id = ? AND number = ?",
    );
    let update = update.bind(millis(at)).bind(ending);
    let update = update.bind(course.started_at.map(millis)).bind(course.first_step_at.map(millis));
    let update = update.bind(job.to_string()).bind(attempt);
    execute(db, update, "write an attempt's end").await.map(drop)
}

fn millis(at: UnixMillis) -> i64 {
    at.0.cast_signed()
}

pub(super) async fn write_summary(
    db: &mut Transaction<'_, Db>,
    job: JobId,
    summary: &Summary,
) -> Outcomes<()> {
    let update = sqlx::query(
        "UPDATE job SET execution_start = ?, execution_end = ?, outputs_count = ?, previewable_outputs_count = ?, \
         preview = ? WHERE id = ?",
    );
    let update = bind_summary(update, summary)?.bind(job.to_string());
    execute(db, update, "write what came of a job").await.map(drop)
}

fn bind_summary<'q>(update: Query<'q>, summary: &Summary) -> Outcomes<Query<'q>> {
    let preview = summary.outputs.preview.as_ref().map(json).transpose()?;
    let update = update.bind(summary.execution_start.map(millis)).bind(summary.execution_end.map(millis));
    let update = update.bind(summary.outputs.count.cast_signed());
    Ok(update.bind(summary.outputs.previewable_count.cast_signed()).bind(preview))
}

type Query<'q> = sqlx::query::Query<'q, Db, sqlx::sqlite::SqliteArguments>;

/// How many rows it changed.
async fn execute(db: &mut Transaction<'_, Db>, query: Query<'_>, operation: &'static str) -> Outcomes<u64> {
    query.execute(&mut **db).await.map(|done| done.rows_affected()).map_err(failed(operation))
}

fn json<T: serde::Serialize>(value: &T) -> Outcomes<String> {
    serde_json::to_string(value).map_err(|e| damaged("a document to be written")(e.to_string()))
}
