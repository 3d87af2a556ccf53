//! The store in one SQLite file: WAL with `synchronous=FULL`, so that what was committed survives a power cut.
//! One connection writes, a few read.

mod fill;
mod list;
mod open;
mod row;
mod write;

use std::fs::File;

use async_trait::async_trait;
use comfyui::api::FileRef;
use sqlx::SqlitePool;

use self::row::{
    attempt_of, digest, documents_of, ended_of, held_of, job_of, listed_of, made_in, place_of, remembered_of,
    upload_of,
};
use super::listing::{Filter, ListedJob, Window};
use super::retention::{Held, Remembered};
use super::store::{AttemptRecord, Documents, EndedJob, Error, Page, Store, Upload, Write};
use crate::id::JobId;
use crate::job::{Job, Place, without_backend};
use crate::limits;

pub struct Sqlite {
    writer: SqlitePool,
    readers: SqlitePool,
    /// Held for as long as the store is open: no second collector may decide for the same jobs.
    _lock: File,
}

type Outcomes<T> = Result<T, Error>;

fn failed(operation: &'static str) -> impl FnOnce(sqlx::Error) -> Error {
    move |source| Error::Query { operation, source }
}

fn damaged(what: impl Into<String>) -> impl FnOnce(String) -> Error {
    let what = what.into();
    move |reason| Error::Damaged { what, reason }
}

#[async_trait]
impl Store for Sqlite {
    async fn commit(&self, writes: &[Write]) -> Outcomes<()> {
        let mut transaction = self.writer.begin().await.map_err(failed("begin a transaction"))?;
        for write in writes {
            write::perform(&mut transaction, write).await?;
        }
        transaction.commit().await.map_err(failed("commit"))
    }

    async fn live(&self) -> Outcomes<(Vec<Job>, u64)> {
        let jobs = sqlx::query(
            "SELECT job.*, attempt.backend, attempt.prompt_id, attempt.dispatched_at FROM job \
             LEFT JOIN attempt ON attempt.job_id = job.id AND attempt.number = job.attempts \
             WHERE state <> 'ended' ORDER BY arrival",
        );
        let rows = jobs.fetch_all(&self.readers).await.map_err(failed("load the queue"))?;
        let jobs = rows.iter().map(job_of).collect::<Outcomes<_>>()?;
        let last = sqlx::query_scalar("SELECT coalesce(max(arrival), 0) FROM job");
        let last: i64 = last.fetch_one(&self.readers).await.map_err(failed("load the queue"))?;
        Ok((jobs, last.unsigned_abs()))
    }

    async fn submitted(&self, id: JobId) -> Outcomes<Option<([u8; 32], Place)>> {
        let query = sqlx::query("SELECT fingerprint, number, number_given, arrival FROM job WHERE id = ?");
        let row = query.bind(id.to_string()).fetch_optional(&self.readers).await;
        let Some(row) = row.map_err(failed("look a job up"))? else { return Ok(None) };
        Ok(Some((digest(&row, "fingerprint")?, place_of(&row)?)))
    }

    async fn documents(&self, id: JobId) -> Outcomes<Option<Documents>> {
        let query = sqlx::query("SELECT * FROM document WHERE job_id = ?");
        let row = query.bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("read a prompt"))?.as_ref().map(documents_of).transpose()
    }

    async fn history(&self, page: Page) -> Outcomes<Vec<EndedJob>> {
        let limit = page.max_items.unwrap_or(limits::HISTORY_PAGE).min(limits::HISTORY_PAGE).cast_signed();
        // Without an offset the newest are meant, and still shown oldest first.
        let (order, offset) = match page.offset {
            Some(offset) => (Order::OldestFirst, offset.min(i64::MAX as u64).cast_signed()),
            None => (Order::NewestFirst, 0),
        };
        let query = sqlx::query(order.sql()).bind(limit).bind(offset);
        let rows = query.fetch_all(&self.readers).await.map_err(failed("read the history"))?;
        let mut jobs = rows.iter().map(ended_of).collect::<Outcomes<Vec<_>>>()?;
        if matches!(order, Order::NewestFirst) {
            jobs.reverse();
        }
        Ok(jobs)
    }

    async fn list(&self, filter: &Filter, window: &Window) -> Outcomes<Vec<ListedJob>> {
        let mut query = list::page(filter, window);
        let rows = query.build().fetch_all(&self.readers).await.map_err(failed("list jobs"))?;
        rows.iter().map(listed_of).collect()
    }

    async fn listed(&self, id: JobId) -> Outcomes<Option<ListedJob>> {
        let row = sqlx::query(list::ONE).bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("look a job up"))?.as_ref().map(listed_of).transpose()
    }

    async fn count(&self, filter: &Filter) -> Outcomes<u64> {
        let mut query = list::count(filter);
        let count = query.build_query_scalar::<i64>().fetch_one(&self.readers).await;
        count.map(i64::unsigned_abs).map_err(failed("count jobs"))
    }

    async fn ended(&self, id: JobId) -> Outcomes<Option<EndedJob>> {
        let query = sqlx::query(
            "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
             WHERE job.id = ? AND state = 'ended'",
        );
        let row = query.bind(id.to_string()).fetch_optional(&self.readers).await;
        row.map_err(failed("read the history"))?.as_ref().map(ended_of).transpose()
    }

    async fn held(&self) -> Outcomes<Held> {
        let query = sqlx::query(
            "SELECT count(*) AS jobs, coalesce(sum(bytes), 0) AS bytes FROM job INDEXED BY job_ended WHERE state = 'ended'",
        );
        let row = query.fetch_one(&self.readers).await.map_err(failed("count ended jobs"))?;
        held_of(&row)
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

    async fn attempts(&self, id: JobId) -> Outcomes<Vec<AttemptRecord>> {
        let query =
            sqlx::query("SELECT * FROM attempt WHERE job_id = ? ORDER BY number").bind(id.to_string());
        let rows = query.fetch_all(&self.readers).await.map_err(failed("read attempts"))?;
        rows.iter().map(attempt_of).collect()
    }

    async fn keep_upload(&self, upload: &Upload) -> Outcomes<()> {
        let query = sqlx::query("INSERT OR REPLACE INTO upload VALUES (?, ?, ?, ?, ?)")
            .bind(&upload.file.kind)
            .bind(&upload.file.subfolder)
            .bind(&upload.file.filename)
            .bind(upload.sha256.as_slice())
            .bind(upload.size_bytes.cast_signed());
        query.execute(&self.writer).await.map(drop).map_err(failed("keep an upload"))
    }

    async fn uploads(&self) -> Outcomes<Vec<Upload>> {
        let rows = sqlx::query("SELECT * FROM upload").fetch_all(&self.readers).await;
        rows.map_err(failed("list uploads"))?.iter().map(upload_of).collect()
    }

    async fn made_as(&self, file: &FileRef) -> Outcomes<Vec<FileRef>> {
        // As it stands in the text of the results.
        let name = serde_json::to_string(&file.filename).unwrap_or_default();
        let query = sqlx::query("SELECT outputs FROM result WHERE instr(outputs, ?) > 0 LIMIT ?")
            .bind(name)
            .bind(limits::HISTORY_PAGE.cast_signed());
        let rows = query.fetch_all(&self.readers).await.map_err(failed("look for a file's maker"))?;
        let mut places = Vec::new();
        for row in &rows {
            let found = made_in(row)?.into_iter().filter(|made| without_backend(made).as_ref() == Some(file));
            places.extend(found);
        }
        places.sort_by(|a, b| a.subfolder.cmp(&b.subfolder));
        places.dedup();
        Ok(places)
    }

    async fn setting(&self, key: &str, make: String) -> Outcomes<String> {
        let insert =
            sqlx::query("INSERT INTO setting VALUES (?, ?) ON CONFLICT DO NOTHING").bind(key).bind(make);
        insert.execute(&self.writer).await.map_err(failed("keep a setting"))?;
        let query = sqlx::query_scalar("SELECT value FROM setting WHERE key = ?").bind(key);
        query.fetch_one(&self.writer).await.map_err(failed("read a setting"))
    }
}

enum Order {
    OldestFirst,
    NewestFirst,
}

impl Order {
    fn sql(&self) -> &'static str {
        match self {
            Self::OldestFirst => {
                "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
                 WHERE state = 'ended' AND outcome <> 'cancelled' ORDER BY ended_at, arrival LIMIT ? OFFSET ?"
            }
            Self::NewestFirst => {
                "SELECT * FROM job JOIN document ON document.job_id = job.id JOIN result ON result.job_id = job.id \
                 WHERE state = 'ended' AND outcome <> 'cancelled' ORDER BY ended_at DESC, arrival DESC LIMIT ? OFFSET ?"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::conformance::{Place as Somewhere, conforms};
    use super::*;

    struct Directory(tempfile::TempDir);

    #[async_trait]
    impl Somewhere for Directory {
        async fn open(&self) -> Arc<dyn Store> {
            Arc::new(Sqlite::open(self.0.path()).await.unwrap())
        }
    }

    #[tokio::test]
    async fn sqlite_does_what_a_store_must() {
        conforms(Directory(tempfile::tempdir().unwrap())).await;
    }
}
