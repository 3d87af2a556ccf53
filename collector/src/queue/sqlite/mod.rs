//! The store in one SQLite file: WAL with `synchronous=FULL`, so that what was committed survives a power cut.
//! One connection writes, a few read.

mod fill;
mod open;
mod write;

use std::fs::File;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use comfyui::api::FileRef;
use futures_util::TryStreamExt;
use sqlx::sqlite::SqliteRow;
use sqlx::{Sqlite as Db, SqlitePool};

use super::error::{Outcomes, failed};
use super::listing::{Filter, ListedJob, Window};
use super::notices::{Delivery, Tried, WaitingNotice, after, delivery_of, waiting_of};
use super::retention::{Held, Remembered};
use super::row::{
    JobReader, attempt_of, documents_of, ended_of, held_of, listed_of, made_as, name_in_results,
    remembered_of, submitted_of, upload_of, use_of,
};
use super::sql::HistoryPage;
use super::store::{AttemptRecord, Documents, EndedJob, Page, Store, Upload, Use, Write};
use super::{list, sql};
use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::job::{Job, Place};
use crate::limits;

#[cfg(test)]
pub(super) use self::open::MIGRATIONS;

pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    /// The highest arrival number ever given.
    last_arrival: AtomicU64,
    /// Held for as long as the store is open: no second collector may decide for the same jobs.
    _lock: File,
}

type Query<'q> = sqlx::query::Query<'q, Db, sqlx::sqlite::SqliteArguments>;

impl Sqlite {
    pub(super) async fn read(&self, operation: &'static str, query: Query<'_>) -> Outcomes<Vec<SqliteRow>> {
        query.fetch_all(&self.readers).await.map_err(failed(operation))
    }

    pub(super) async fn write(&self, operation: &'static str, query: Query<'_>) -> Outcomes<Vec<SqliteRow>> {
        query.fetch_all(&self.writer).await.map_err(failed(operation))
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, writes: &[Write]) -> Outcomes<Vec<Option<u64>>> {
        let mut transaction = self.writer.begin().await.map_err(failed("begin a transaction"))?;
        let (mut last, mut arrivals) = (self.last_arrival.load(Ordering::Relaxed), Vec::new());
        for write in writes {
            match write {
                Write::Submit(submission) => {
                    let is_new = write::submit(&mut transaction, submission, last + 1).await?;
                    last += u64::from(is_new);
                    arrivals.push(is_new.then_some(last));
                }
                Write::Change(change) => write::record(&mut transaction, change).await?,
                Write::Notify(notice) => write::notify(&mut transaction, notice).await?,
                Write::Archive(made) => write::archive(&mut transaction, made).await?,
                Write::Forget { jobs, owner } => {
                    write::forget(&mut transaction, jobs, owner.as_deref()).await?;
                }
            }
        }
        transaction.commit().await.map_err(failed("commit"))?;
        self.last_arrival.store(last, Ordering::Relaxed);
        Ok(arrivals)
    }

    async fn live(&self) -> Outcomes<Vec<Job>> {
        let (mut jobs, mut reader) = (Vec::new(), JobReader::default());
        // Row by row: all of them at once would take more memory than the jobs.
        let mut rows = sqlx::query(sql::LIVE_IN_SQLITE).fetch(&self.readers);
        while let Some(row) = rows.try_next().await.map_err(failed("load the queue"))? {
            jobs.push(reader.job_of(&row)?);
        }
        // A commit that seemed to fail may have given some.
        let last_arrival = jobs.last().map_or(0, |job| job.place.arrival);
        self.last_arrival.fetch_max(last_arrival, Ordering::Relaxed);
        Ok(jobs)
    }

    async fn submitted(&self, id: JobId) -> Outcomes<Option<([u8; 32], Place)>> {
        let row = sqlx::query(sql::SUBMITTED).bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("look a job up"))?.as_ref().map(submitted_of).transpose()
    }

    async fn documents(&self, id: JobId) -> Outcomes<Option<Documents>> {
        let row = sqlx::query(sql::DOCUMENTS).bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("read a prompt"))?.as_ref().map(documents_of).transpose()
    }

    async fn history(&self, page: Page) -> Outcomes<Vec<EndedJob>> {
        let page = HistoryPage::of(page);
        let query = sqlx::query(page.sql).bind(page.limit).bind(page.offset);
        let rows = query.fetch_all(&self.readers).await.map_err(failed("read the history"))?;
        Ok(page.in_order(rows.iter().map(ended_of).collect::<Outcomes<_>>()?))
    }

    async fn list(&self, filter: &Filter, window: &Window) -> Outcomes<Vec<ListedJob>> {
        let mut query = list::page::<Db>(filter, window);
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed("list jobs"))?;
        rows.iter().map(listed_of).collect()
    }

    async fn listed(&self, id: JobId) -> Outcomes<Option<ListedJob>> {
        let row = sqlx::query(list::ONE).bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("look a job up"))?.as_ref().map(listed_of).transpose()
    }

    async fn count(&self, filter: &Filter) -> Outcomes<u64> {
        let mut query = list::count::<Db>(filter);
        let count = query.build_query_scalar::<i64>().fetch_one(&self.readers).await;
        count.map(i64::unsigned_abs).map_err(failed("count jobs"))
    }

    async fn ended(&self, id: JobId) -> Outcomes<Option<EndedJob>> {
        let row = sqlx::query(sql::ENDED).bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("read the history"))?.as_ref().map(ended_of).transpose()
    }

    async fn held(&self) -> Outcomes<Held> {
        let row = sqlx::query(sql::HELD).fetch_one(&self.readers).await;
        held_of(&row.map_err(failed("count ended jobs"))?)
    }

    async fn oldest_ended(&self, limit: u64, owner: Option<&str>) -> Outcomes<Vec<Remembered>> {
        let query = sqlx::query(
            "SELECT id, ended_at, bytes FROM job WHERE state = 'ended' AND (?1 IS NULL OR owner = ?1) \
             ORDER BY ended_at, arrival LIMIT ?2",
        );
        let query = query.bind(owner).bind(limit.min(i64::MAX as u64).cast_signed());
        let rows = query.fetch_all(&self.readers).await;
        rows.map_err(failed("look for old jobs"))?.iter().map(remembered_of).collect()
    }

    async fn uses_since(&self, at: UnixMillis) -> Outcomes<Vec<Use>> {
        let rows = sqlx::query(sql::USES).bind(at.0.cast_signed()).fetch_all(&self.readers).await;
        rows.map_err(failed("read what owners have used"))?.iter().map(use_of).collect()
    }

    async fn attempts(&self, id: JobId) -> Outcomes<Vec<AttemptRecord>> {
        let rows = sqlx::query(sql::ATTEMPTS).bind(id.to_string()).fetch_all(&self.readers).await;
        rows.map_err(failed("read attempts"))?.iter().map(attempt_of).collect()
    }

    async fn notices_after(&self, sequence: u64) -> Outcomes<Vec<WaitingNotice>> {
        let query = sqlx::query(sql::WAITING_NOTICES).bind(sequence.cast_signed());
        let rows = query.bind(limits::WEBHOOKS_WAITING as i64).fetch_all(&self.readers).await;
        rows.map_err(failed("look for webhooks to send"))?.iter().map(waiting_of).collect()
    }

    async fn notice_body(&self, sequence: u64) -> Outcomes<Option<String>> {
        let query = sqlx::query_scalar(sql::NOTICE_BODY).bind(sequence.cast_signed());
        query.fetch_optional(&self.readers).await.map_err(failed("read a webhook"))
    }

    async fn note_tried(&self, sequence: u64, at: UnixMillis, tried: &Tried) -> Outcomes<()> {
        let (sequence, (state, due_at, error)) = (sequence.cast_signed(), after(tried));
        if due_at.is_none() {
            let dropped = sqlx::query(sql::DROP_NOTICE).bind(sequence).execute(&self.writer).await;
            dropped.map_err(failed("forget a webhook"))?;
        }
        let query = sqlx::query(sql::NOTE_TRIED).bind(state).bind(due_at).bind(error);
        let noted = query.bind(at.0.cast_signed()).bind(sequence).execute(&self.writer).await;
        noted.map(drop).map_err(failed("write what came of a webhook"))
    }

    async fn delivery(&self, job: JobId) -> Outcomes<Option<Delivery>> {
        let row = sqlx::query(sql::DELIVERY).bind(job.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("read a webhook"))?.as_ref().map(delivery_of).transpose()
    }

    async fn keep_upload(&self, upload: &Upload) -> Outcomes<()> {
        let query = sqlx::query(sql::KEEP_UPLOAD)
            .bind(&upload.file.kind)
            .bind(&upload.file.subfolder)
            .bind(&upload.file.filename)
            .bind(upload.sha256.as_slice())
            .bind(upload.size_bytes.cast_signed());
        query.execute(&self.writer).await.map(drop).map_err(failed("keep an upload"))
    }

    async fn uploads(&self) -> Outcomes<Vec<Upload>> {
        let rows = sqlx::query(sql::UPLOADS).fetch_all(&self.readers).await;
        rows.map_err(failed("list uploads"))?.iter().map(upload_of).collect()
    }

    async fn made_as(&self, file: &FileRef) -> Outcomes<Vec<FileRef>> {
        let query = sqlx::query("SELECT outputs FROM result WHERE instr(outputs, ?) > 0 LIMIT ?")
            .bind(name_in_results(file))
            .bind(limits::HISTORY_PAGE.cast_signed());
        let rows = query.fetch_all(&self.readers).await.map_err(failed("look for a file's maker"))?;
        made_as(&rows, file)
    }

    async fn setting(&self, key: &str, make: String) -> Outcomes<String> {
        let made = sqlx::query(sql::MAKE_SETTING).bind(key).bind(make).execute(&self.writer).await;
        made.map_err(failed("keep a setting"))?;
        let query = sqlx::query_scalar(sql::SETTING).bind(key);
        query.fetch_one(&self.writer).await.map_err(failed("read a setting"))
    }

    async fn keep_setting(&self, key: &str, value: &str) -> Outcomes<()> {
        let query = sqlx::query(sql::KEEP_SETTING).bind(key).bind(value);
        query.execute(&self.writer).await.map(drop).map_err(failed("keep a setting"))
    }
}

#[cfg(test)]
mod outage_tests;

#[cfg(test)]
mod tests {
    use sqlx::{QueryBuilder, Row};

    use super::super::list::{count, page};
    use super::super::{Cursor, Sort};
    use super::*;
    use crate::job::{Outcome, Standing};

    async fn plan(store: &Sqlite, query: QueryBuilder<Db>) -> String {
        let mut explained = QueryBuilder::<Db>::new("EXPLAIN QUERY PLAN ");
        explained.push(query.into_string());
        let steps = explained.build().fetch_all(&store.readers).await.unwrap();
        steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
    }

    #[tokio::test]
    async fn pages_and_counts_and_what_a_start_loads_are_found_by_indexes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path()).await.unwrap();
        let newest = Window { sort: Sort::Submitted, ascending: false, before: None, limit: 64, offset: 0 };
        let longest = Window { sort: Sort::Duration, ..newest };
        let before = Some(Cursor { submitted_at: UnixMillis(1), arrival: 1 });
        let ended =
            Filter { standings: Some(vec![Standing::Ended(Outcome::Succeeded)]), ..Filter::default() };
        let of_workflow = Filter { workflow_id: Some("w".to_owned()), ..Filter::default() };
        for (query, index) in [
            (page(&ended, &newest), "INDEX job_standing"),
            (page(&ended, &longest), "INDEX job_standing"),
            (count(&ended), "INDEX job_standing"),
            (page(&Filter::default(), &newest), "INDEX job_created"),
            (page(&Filter::default(), &Window { before, ..newest }), "INDEX job_created"),
            (page(&of_workflow, &newest), "INDEX job_workflow"),
            (count(&of_workflow), "INDEX job_workflow"),
            (QueryBuilder::new(sql::LIVE_IN_SQLITE), "INDEX job_live"),
            (QueryBuilder::new(sql::LIVE_IN_SQLITE), "SEARCH job USING INDEX job_standing (standing=?)"),
            (QueryBuilder::new(fill::WITHOUT_SUMMARY), "INDEX job_without_summary"),
        ] {
            let plan = plan(&store, query).await;
            assert!(plan.contains(index) && !plan.contains("SCAN result"), "{plan}");
        }
    }
}
