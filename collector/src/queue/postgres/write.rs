//! Writes, one statement a group. A change is made only of what is still as its writer knew it, or the whole fails.

use std::collections::HashMap;

use comfyui::api::FileRef;
use serde_json::Value;
use sqlx::{Connection, PgConnection};
use uuid::Uuid;

use super::super::copies::{Made, Wanted};
use super::super::error::{Outcomes, damaged, failed};
use super::super::notices::too_many;
use super::super::store::Write;
use super::group::{Group, Kind, groups};
use super::storable;
use crate::clock::UnixMillis;
use crate::id::{BackendId, ClientId, JobId};
use crate::job::{Change, Course, Notice, Results, Submission, Summary, owner_of};
use crate::limits;

/// A group alone is a transaction by itself.
pub(super) async fn commit(db: &mut PgConnection, writes: &[Write]) -> Outcomes<Vec<Option<u64>>> {
    let groups = groups(writes);
    if let [only] = groups.as_slice() {
        return perform(db, only).await;
    }
    let mut transaction = db.begin().await.map_err(failed("begin a transaction"))?;
    let mut arrivals = Vec::new();
    for group in &groups {
        arrivals.extend(perform(&mut transaction, group).await?);
    }
    transaction.commit().await.map_err(failed("commit"))?;
    Ok(arrivals)
}

async fn perform(db: &mut PgConnection, group: &Group<'_>) -> Outcomes<Vec<Option<u64>>> {
    let changes: Vec<&Change> = group.writes.iter().filter_map(|write| write.change()).collect();
    match group.kind {
        Kind::Submit => {
            let submissions: Vec<_> = group.writes.iter().filter_map(|write| write.submission()).collect();
            return submit(db, &submissions).await;
        }
        Kind::Dispatch => dispatch(db, &changes).await?,
        Kind::Accept => accept(db, &changes).await?,
        Kind::Requeue => requeue(db, &changes).await?,
        Kind::Arrange => arrange(db, &changes).await?,
        Kind::End => end(db, &changes).await?,
        Kind::Notify => {
            let notices: Vec<_> = group.writes.iter().filter_map(|write| write.notice()).collect();
            notify(db, &notices).await?;
        }
        Kind::Archive => {
            let made: Vec<_> = group.writes.iter().filter_map(|write| write.made()).collect();
            archive(db, &made).await?;
        }
        Kind::Forget => forget(db, &group.writes).await?,
    }
    Ok(Vec::new())
}

fn column<'w, W, T>(rows: &[&'w W], value: impl Fn(&'w W) -> T) -> Vec<T> {
    rows.iter().map(|row| value(row)).collect()
}

fn column_of_json<'w, W, T: serde::Serialize>(
    rows: &[&'w W],
    value: impl Fn(&'w W) -> T,
) -> Outcomes<Vec<String>> {
    rows.iter().map(|row| json(&value(row))).collect()
}

fn text(text: &str) -> String {
    storable(text).into_owned()
}

fn json<T: serde::Serialize>(value: &T) -> Outcomes<String> {
    serde_json::to_string(value).map_err(|e| damaged("a document to be written")(e.to_string()))
}

fn millis(at: UnixMillis) -> i64 {
    at.0.cast_signed()
}

fn began(course: &Course) -> Option<i64> {
    course.started_at.map(millis)
}

fn stepped(course: &Course) -> Option<i64> {
    course.first_step_at.map(millis)
}

/// The names in a prompt's needs, for a query that will take them out of the JSON again.
fn models(submission: &Submission) -> Vec<String> {
    submission.needs.assets.iter().map(|asset| text(&asset.name)).collect()
}

/// As `Place::new` numbers them. Where a job is there already its number is spent, which nobody minds.
const SUBMIT: &str = "\
    WITH given AS ( \
        SELECT nextval('arrival') AS arrival, given.* FROM unnest($1::uuid[], $2::float8[], $3::bool[], $4::text[], \
            $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::bytea[], $11::bigint[], $12::text[], \
            $13::text[], $14::text[], $15::text[], $16::text[]) \
            AS given (id, number, front, client_id, peer, owner, needs, wishes, models, fingerprint, submitted_at, \
                      workflow_id, prompt, extra_data, partial_execution_targets, outputs_to_execute) \
    ), added AS ( \
        INSERT INTO job (id, arrival, number, number_given, client_id, peer, owner, needs, wishes, models, fingerprint, \
                         submitted_at, state, workflow_id, bytes) \
        SELECT id, arrival, coalesce(number, CASE WHEN front THEN -arrival ELSE arrival END), number IS NOT NULL, \
               client_id, peer, owner, needs, wishes, ARRAY(SELECT json_array_elements_text(models::json)), fingerprint, \
               submitted_at, 'waiting', workflow_id, octet_length(prompt) + octet_length(extra_data) \
        FROM given ON CONFLICT (id) DO NOTHING RETURNING id, arrival \
    ), documents AS ( \
        INSERT INTO document (job_id, prompt, extra_data, partial_execution_targets, outputs_to_execute) \
        SELECT id, prompt, extra_data, partial_execution_targets, outputs_to_execute FROM given JOIN added USING (id, arrival) \
    ) \
    SELECT id, arrival FROM added";

async fn submit(db: &mut PgConnection, rows: &[&Submission]) -> Outcomes<Vec<Option<u64>>> {
    let wishes = |row: &&Submission| (!row.wishes.is_empty()).then(|| json(&row.wishes)).transpose();
    let targets = |row: &&Submission| row.partial_execution_targets.as_ref().map(json).transpose();
    let query = sqlx::query_as(SUBMIT)
        .bind(column(rows, |row| Uuid::from(row.id)))
        .bind(column(rows, |row| row.number))
        .bind(column(rows, |row| row.front))
        .bind(column(rows, |row| row.client_id.as_ref().map(ClientId::as_str).map(text)))
        .bind(column(rows, |row| row.peer.map(|peer| peer.to_string())))
        .bind(column(rows, |row| row.owner.as_deref().map(text)))
        .bind(column_of_json(rows, |row| &row.needs)?)
        .bind(rows.iter().map(wishes).collect::<Outcomes<Vec<_>>>()?)
        .bind(column_of_json(rows, models)?)
        .bind(column(rows, |row| row.fingerprint.as_slice()))
        .bind(column(rows, |row| millis(row.submitted_at)))
        .bind(column(rows, |row| row.workflow_id().map(text)))
        .bind(column(rows, |row| row.prompt.get()))
        .bind(column_of_json(rows, |row| &row.extra_data)?)
        .bind(rows.iter().map(targets).collect::<Outcomes<Vec<_>>>()?)
        .bind(column_of_json(rows, |row| &row.outputs_to_execute)?);
    let added: Vec<(Uuid, i64)> = query.fetch_all(db).await.map_err(failed("write jobs"))?;
    let mut added: HashMap<JobId, u64> =
        added.into_iter().map(|(id, arrival)| (id.into(), arrival.unsigned_abs())).collect();
    // Of two that came under one id together the first is the one.
    Ok(rows.iter().map(|row| added.remove(&row.id)).collect())
}

const DISPATCH: &str = "\
    WITH given AS ( \
        SELECT * FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS given (id, backend, at, why) \
    ), claimed AS ( \
        UPDATE job SET state = 'dispatched', attempts = attempts + 1, last_backend = backend \
        FROM given WHERE job.id = given.id AND state = 'waiting' RETURNING job.id, attempts \
    ), begun AS ( \
        INSERT INTO attempt (job_id, number, backend, dispatched_at, why) \
        SELECT id, attempts, backend, at, why FROM claimed JOIN given USING (id) RETURNING 1 \
    ) \
    SELECT expect_all(count(*), $5) FROM begun";

async fn dispatch(db: &mut PgConnection, changes: &[&Change]) -> Outcomes<()> {
    let (mut backends, mut times, mut whys) = (Vec::new(), Vec::new(), Vec::new());
    for change in changes {
        let Change::Dispatch { backend, at, why, .. } = change else { continue };
        backends.push(backend.as_str());
        times.push(millis(*at));
        whys.push(text(why));
    }
    let query = sqlx::query(DISPATCH).bind(ids(changes)).bind(backends).bind(times).bind(whys);
    execute(db, query.bind(count(changes)), "write a dispatch").await
}

const ACCEPT: &str = "\
    WITH accepted AS ( \
        UPDATE attempt SET prompt_id = given.prompt_id \
        FROM unnest($1::uuid[], $2::bigint[], $3::text[]) AS given (id, attempt, prompt_id) \
        WHERE job_id = given.id AND number = given.attempt AND ended_at IS NULL RETURNING 1 \
    ) \
    SELECT expect_all(count(*), $4) FROM accepted";

async fn accept(db: &mut PgConnection, changes: &[&Change]) -> Outcomes<()> {
    let (mut attempts, mut theirs) = (Vec::new(), Vec::new());
    for change in changes {
        let Change::Accept { attempt, prompt_id, .. } = change else { continue };
        attempts.push(i64::from(*attempt));
        theirs.push(text(prompt_id));
    }
    let query = sqlx::query(ACCEPT).bind(ids(changes)).bind(attempts).bind(theirs);
    execute(db, query.bind(count(changes)), "write a backend's answer").await
}

const REQUEUE: &str = "\
    WITH given AS ( \
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bool[], $4::bigint[], $5::text[], $6::bigint[], $7::bigint[]) \
            AS given (id, attempt, spent, at, reason, began, stepped) \
    ), waiting AS ( \
        UPDATE job SET state = 'waiting', spent_attempts = spent_attempts + spent::int \
        FROM given WHERE job.id = given.id AND state = 'dispatched' AND attempts = attempt RETURNING 1 \
    ), over AS ( \
        UPDATE attempt SET ended_at = at, ending = reason, started_at = began, first_step_at = stepped \
        FROM given WHERE job_id = given.id AND attempt.number = given.attempt \
    ) \
    SELECT expect_all(count(*), $8) FROM waiting";

async fn requeue(db: &mut PgConnection, changes: &[&Change]) -> Outcomes<()> {
    let (mut attempts, mut spents, mut times, mut reasons) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut courses = Vec::new();
    for change in changes {
        let Change::Requeue { attempt, spent, at, reason, course, .. } = change else { continue };
        attempts.push(i64::from(*attempt));
        spents.push(*spent);
        times.push(millis(*at));
        reasons.push(text(reason));
        courses.push(course);
    }
    let query = sqlx::query(REQUEUE).bind(ids(changes)).bind(attempts).bind(spents).bind(times).bind(reasons);
    let query = query.bind(column(&courses, began)).bind(column(&courses, stepped));
    execute(db, query.bind(count(changes)), "write that a job waits again").await
}

const MOVE: &str = "\
    WITH moved AS ( \
        UPDATE job SET number = $2, number_given = true WHERE id = $1 AND state = 'waiting' RETURNING 1 \
    ) \
    SELECT expect_all(count(*), 1) FROM moved";
const PREFER: &str = "\
    WITH preferred AS ( \
        UPDATE job SET wishes = (coalesce(wishes, '{}')::jsonb || jsonb_build_object('priority', $2::float8))::text \
        WHERE id = $1 AND state = 'waiting' RETURNING 1 \
    ) \
    SELECT expect_all(count(*), 1) FROM preferred";

/// People do it, so seldom that each is a statement of its own.
async fn arrange(db: &mut PgConnection, changes: &[&Change]) -> Outcomes<()> {
    for change in changes {
        let (sql, value) = match change {
            Change::Move { number, .. } => (MOVE, *number),
            Change::Prefer { priority, .. } => (PREFER, *priority),
            _ => continue,
        };
        let query = sqlx::query(sql).bind(Uuid::from(change.job())).bind(value);
        execute(db, query, "write a job's place").await?;
    }
    Ok(())
}

const END: &str = "\
    WITH given AS ( \
        SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::text[], \
            $8::bigint[], $9::bigint[], $10::bigint[], $11::bigint[], $12::text[], $13::bigint[], $14::bigint[]) \
            AS given (id, attempt, at, outcome, outputs, status, meta, start, finish, outputs_count, previewable, preview, \
                      began, stepped) \
    ), ended AS ( \
        UPDATE job SET state = 'ended', outcome = given.outcome, ended_at = at, execution_start = start, \
            execution_end = finish, outputs_count = given.outputs_count, previewable_outputs_count = previewable, \
            preview = given.preview, bytes = bytes + octet_length(outputs) + octet_length(status) + octet_length(meta) \
        FROM given WHERE job.id = given.id AND CASE WHEN attempt IS NULL THEN state = 'waiting' \
            ELSE state = 'dispatched' AND attempts = attempt END \
        RETURNING job.id \
    ), over AS ( \
        UPDATE attempt SET ended_at = at, ending = outcome, started_at = began, first_step_at = stepped \
        FROM given WHERE job_id = given.id AND attempt.number = given.attempt \
    ), kept AS ( \
        INSERT INTO result (job_id, outputs, status, meta) \
        SELECT id, outputs, status, meta FROM ended JOIN given USING (id) RETURNING 1 \
    ) \
    SELECT expect_all(count(*), $15) FROM kept";

struct End<'w> {
    attempt: Option<u32>,
    at: UnixMillis,
    outcome: &'static str,
    results: &'w Results,
    summary: Summary,
    course: &'w Course,
}

async fn end(db: &mut PgConnection, changes: &[&Change]) -> Outcomes<()> {
    let ends = changes.iter().filter_map(|change| match change {
        Change::End { attempt, at, outcome, results, course, .. } => {
            let (outcome, summary) = (outcome.as_str(), Summary::of(results));
            Some(End { attempt: *attempt, at: *at, outcome, results, summary, course })
        }
        _ => None,
    });
    let ends: Vec<End<'_>> = ends.collect();
    let rows: Vec<&End<'_>> = ends.iter().collect();
    let rows = rows.as_slice();
    let preview = |row: &&End<'_>| row.summary.outputs.preview.as_ref().map(json).transpose();
    let query = sqlx::query(END)
        .bind(ids(changes))
        .bind(column(rows, |row| row.attempt.map(i64::from)))
        .bind(column(rows, |row| millis(row.at)))
        .bind(column(rows, |row| row.outcome))
        .bind(column_of_json(rows, |row| &row.results.outputs)?)
        .bind(column_of_json::<_, &Value>(rows, |row| &row.results.status)?)
        .bind(column_of_json(rows, |row| &row.results.meta)?)
        .bind(column(rows, |row| row.summary.execution_start.map(millis)))
        .bind(column(rows, |row| row.summary.execution_end.map(millis)))
        .bind(column(rows, |row| row.summary.outputs.count.cast_signed()))
        .bind(column(rows, |row| row.summary.outputs.previewable_count.cast_signed()))
        .bind(rows.iter().map(preview).collect::<Outcomes<Vec<_>>>()?)
        .bind(column(rows, |row| began(row.course)))
        .bind(column(rows, |row| stepped(row.course)))
        .bind(count(changes));
    execute(db, query, "write a job's end").await
}

/// Beyond the bound they are given up at once.
const NOTIFY: &str = "\
    INSERT INTO webhook (job_id, url, body, state, created_at, due_at, error) \
    SELECT id, url, CASE WHEN is_full THEN NULL ELSE body END, CASE WHEN is_full THEN 'given_up' ELSE 'waiting' END, at, \
           CASE WHEN is_full THEN NULL ELSE at END, CASE WHEN is_full THEN $5 END \
    FROM (SELECT given.*, nth + (SELECT count(*) FROM webhook WHERE state = 'waiting') > $6 AS is_full \
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[]) WITH ORDINALITY \
              AS given (id, url, body, at, nth)) AS given";

/// One of a job of the same id, which was forgotten, gives way.
async fn notify(db: &mut PgConnection, notices: &[&Notice]) -> Outcomes<()> {
    let jobs: Vec<Uuid> = column(notices, |notice| notice.job.into());
    let earlier = sqlx::query("DELETE FROM webhook WHERE job_id = ANY ($1)").bind(jobs.clone());
    execute(db, earlier, "write a webhook").await?;
    let query = sqlx::query(NOTIFY)
        .bind(jobs)
        .bind(column(notices, |notice| notice.url.as_str()))
        .bind(column(notices, |notice| notice.body.as_str()))
        .bind(column(notices, |notice| millis(notice.at)))
        .bind(too_many())
        .bind(limits::WEBHOOKS_WAITING as i64);
    execute(db, query, "write a webhook").await
}

const WANT_NEW: &str = "\
    INSERT INTO copy (subfolder, name, backend, wants, wanted_at, due_at) \
    SELECT subfolder, name, backend, count(*), min(at), min(at) \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS given (subfolder, name, backend, at) \
    GROUP BY subfolder, name, backend \
    ON CONFLICT (subfolder, name) DO UPDATE SET wants = copy.wants + excluded.wants, due_at = excluded.due_at, \
        wanted_at = CASE WHEN copy.due_at IS NULL THEN excluded.wanted_at ELSE copy.wanted_at END";
const WANT_FOUND: &str = "\
    INSERT INTO copy (subfolder, name, backend, wants, wanted_at, due_at) \
    SELECT DISTINCT ON (subfolder, name) subfolder, name, backend, 1, at, at \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS given (subfolder, name, backend, at) \
    ON CONFLICT DO NOTHING";
const WANT_KNOWN: &str = "\
    UPDATE copy SET wants = copy.wants + 1, due_at = at, wanted_at = CASE WHEN copy.due_at IS NULL THEN at ELSE wanted_at END \
    FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[]) AS given (subfolder, name, backend, at) \
    WHERE copy.subfolder = given.subfolder AND copy.name = given.name AND copy.backend = given.backend";

/// All are wanted alike.
async fn archive(db: &mut PgConnection, made: &[&Made]) -> Outcomes<()> {
    let files = |of: fn(&Made) -> &[FileRef]| {
        let files = made.iter().flat_map(move |made| of(made).iter().map(move |file| (file, made.at)));
        files.filter_map(|(file, at)| Some((file, owner_of(file)?.0, at))).collect::<Vec<_>>()
    };
    match made.first().map_or(Wanted::None, |made| made.wanted) {
        Wanted::All => {
            want(db, WANT_NEW, &files(|made| &made.files)).await?;
            want(db, WANT_FOUND, &files(|made| &made.found)).await
        }
        Wanted::Known => want(db, WANT_KNOWN, &files(|made| &made.files)).await,
        Wanted::None => Ok(()),
    }
}

async fn want(
    db: &mut PgConnection,
    sql: &'static str,
    files: &[(&FileRef, BackendId, UnixMillis)],
) -> Outcomes<()> {
    if files.is_empty() {
        return Ok(());
    }
    let query = sqlx::query(sql)
        .bind(files.iter().map(|(file, ..)| file.subfolder.as_str()).collect::<Vec<_>>())
        .bind(files.iter().map(|(file, ..)| file.filename.as_str()).collect::<Vec<_>>())
        .bind(files.iter().map(|(_, backend, _)| backend.as_str()).collect::<Vec<_>>())
        .bind(files.iter().map(|(.., at)| millis(*at)).collect::<Vec<_>>());
    execute(db, query, "write that copies are wanted").await
}

async fn forget(db: &mut PgConnection, writes: &[&Write]) -> Outcomes<()> {
    for write in writes {
        let Write::Forget { jobs, owner } = write else { continue };
        let ids: Vec<Uuid> = jobs.iter().copied().map(Uuid::from).collect();
        // A webhook that waits is sent all the same.
        let query = sqlx::query(
            "WITH gone AS ( \
                 DELETE FROM job WHERE id = ANY ($1) AND state = 'ended' AND ($2::text IS NULL OR owner = $2) RETURNING id \
             ) \
             DELETE FROM webhook USING gone WHERE job_id = gone.id AND webhook.state <> 'waiting'",
        );
        execute(db, query.bind(ids).bind(owner.as_deref().map(storable)), "forget a job").await?;
    }
    Ok(())
}

fn ids(changes: &[&Change]) -> Vec<Uuid> {
    column(changes, |change| change.job().into())
}

fn count(changes: &[&Change]) -> i64 {
    changes.len() as i64
}

type Query<'q> = sqlx::query::Query<'q, sqlx::Postgres, sqlx::postgres::PgArguments>;

async fn execute(db: &mut PgConnection, query: Query<'_>, operation: &'static str) -> Outcomes<()> {
    query.execute(db).await.map(drop).map_err(failed(operation))
}
