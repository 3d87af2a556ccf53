//! The store in a PostgreSQL database. One connection writes, and holds the lock that says who may; a few read.
//!
//! A text of PostgreSQL holds no NUL, which a client may well send in one: see [`storable`]. JSON writes it as an escape.

mod candidate;
mod connections;
mod group;
mod lock;
mod open;
mod write;

use std::borrow::Cow;
use std::fs::File;

use async_trait::async_trait;
use comfyui::api::FileRef;
use sqlx::Postgres as Db;
use sqlx::postgres::PgRow;
use uuid::Uuid;

pub use self::candidate::{Candidate, Leader, Seen};
use self::connections::Connections;
use self::lock::Holder;
use super::columns::Columns;
use super::error::{Outcomes, damaged, failed};
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

pub struct Postgres {
    /// The one that writes.
    writer: Connections,
    others: Connections,
    /// Held for as long as it lives.
    _directory: Option<File>,
}

type Query<'q> = sqlx::query::Query<'q, Db, sqlx::postgres::PgArguments>;

impl Postgres {
    /// What only those know that can read the database: who shows it is a collector that stands by for this one.
    pub fn pass(&self) -> Option<String> {
        self.writer.holder().map(Holder::pass)
    }

    pub(super) async fn read(&self, operation: &'static str, query: Query<'_>) -> Outcomes<Vec<PgRow>> {
        self.others.rows(operation, query).await
    }

    pub(super) async fn write(&self, operation: &'static str, query: Query<'_>) -> Outcomes<Vec<PgRow>> {
        self.writer.rows(operation, query).await
    }
}

/// The text with another sign for NUL.
pub(super) fn storable(text: &str) -> Cow<'_, str> {
    match text.contains('\0') {
        true => text.replace('\0', "\u{fffd}").into(),
        false => text.into(),
    }
}

/// Of a query that gives exactly one.
fn the_one(rows: &[PgRow]) -> Outcomes<&PgRow> {
    rows.first().ok_or_else(|| damaged("an answer")("there is no row".to_owned()))
}

#[async_trait]
impl Store for Postgres {
    async fn commit(&self, writes: &[Write]) -> Outcomes<Vec<Option<u64>>> {
        let commit = async {
            let mut lent = self.writer.lend().await?;
            let arrivals = write::commit(&mut lent.connection, writes).await?;
            lent.give_back();
            Ok(arrivals)
        };
        self.writer.within(limits::DATABASE_COMMIT_WITHIN, commit).await
    }

    async fn confirm(&self) -> Outcomes<()> {
        let ask = async {
            let mut lent = self.writer.lend().await?;
            let operation = "see who works on the database";
            sqlx::query("SELECT 1").execute(&mut lent.connection).await.map_err(failed(operation))?;
            lent.give_back();
            Ok(())
        };
        self.writer.within(limits::DATABASE_CONFIRM_WITHIN, ask).await
    }

    async fn live(&self) -> Outcomes<Vec<Job>> {
        // By the one that commits: what it had begun before is over then.
        let mut reader = JobReader::default();
        self.writer
            .read("load the queue", sqlx::query(sql::LIVE_IN_POSTGRES), |row| reader.job_of(&row))
            .await
    }

    async fn submitted(&self, id: JobId) -> Outcomes<Option<([u8; 32], Place)>> {
        let rows =
            self.others.rows("look a job up", sqlx::query(sql::SUBMITTED).bind(Uuid::from(id))).await?;
        rows.first().map(submitted_of).transpose()
    }

    async fn documents(&self, id: JobId) -> Outcomes<Option<Documents>> {
        let rows =
            self.others.rows("read a prompt", sqlx::query(sql::DOCUMENTS).bind(Uuid::from(id))).await?;
        rows.first().map(documents_of).transpose()
    }

    async fn history(&self, page: Page) -> Outcomes<Vec<EndedJob>> {
        let page = HistoryPage::of(page);
        let query = sqlx::query(page.sql).bind(page.limit).bind(page.offset);
        let rows = self.others.rows("read the history", query).await?;
        Ok(page.in_order(rows.iter().map(ended_of).collect::<Outcomes<_>>()?))
    }

    async fn list(&self, filter: &Filter, window: &Window) -> Outcomes<Vec<ListedJob>> {
        let mut query = list::page::<Db>(filter, window);
        let rows = self.others.rows("list jobs", query.build()).await?;
        rows.iter().map(listed_of).collect()
    }

    async fn listed(&self, id: JobId) -> Outcomes<Option<ListedJob>> {
        let rows = self.others.rows("look a job up", sqlx::query(list::ONE).bind(Uuid::from(id))).await?;
        rows.first().map(listed_of).transpose()
    }

    async fn count(&self, filter: &Filter) -> Outcomes<u64> {
        let mut query = list::count::<Db>(filter);
        let rows = self.others.rows("count jobs", query.build()).await?;
        the_one(&rows)?.count("jobs")
    }

    async fn ended(&self, id: JobId) -> Outcomes<Option<EndedJob>> {
        let rows = self.others.rows("read the history", sqlx::query(sql::ENDED).bind(Uuid::from(id))).await?;
        rows.first().map(ended_of).transpose()
    }

    async fn held(&self) -> Outcomes<Held> {
        let rows = self.others.rows("count ended jobs", sqlx::query(sql::HELD)).await?;
        held_of(the_one(&rows)?)
    }

    async fn oldest_ended(&self, limit: u64, owner: Option<&str>) -> Outcomes<Vec<Remembered>> {
        let query = sqlx::query(
            "SELECT id, ended_at, bytes FROM job WHERE state = 'ended' AND ($1::text IS NULL OR owner = $1) \
             ORDER BY ended_at, arrival LIMIT $2",
        );
        let query = query.bind(owner.map(storable)).bind(limit.min(i64::MAX as u64).cast_signed());
        let rows = self.others.rows("look for old jobs", query).await?;
        rows.iter().map(remembered_of).collect()
    }

    async fn uses_since(&self, at: UnixMillis) -> Outcomes<Vec<Use>> {
        let query = sqlx::query(sql::USES).bind(at.0.cast_signed());
        let rows = self.others.rows("read what owners have used", query).await?;
        rows.iter().map(use_of).collect()
    }

    async fn attempts(&self, id: JobId) -> Outcomes<Vec<AttemptRecord>> {
        let rows = self.others.rows("read attempts", sqlx::query(sql::ATTEMPTS).bind(Uuid::from(id))).await?;
        rows.iter().map(attempt_of).collect()
    }

    async fn notices_after(&self, sequence: u64) -> Outcomes<Vec<WaitingNotice>> {
        let query = sqlx::query(sql::WAITING_NOTICES).bind(sequence.cast_signed());
        let query = query.bind(limits::WEBHOOKS_WAITING as i64);
        let rows = self.others.rows("look for webhooks to send", query).await?;
        rows.iter().map(waiting_of).collect()
    }

    async fn notice_body(&self, sequence: u64) -> Outcomes<Option<String>> {
        let query = sqlx::query(sql::NOTICE_BODY).bind(sequence.cast_signed());
        let rows = self.others.rows("read a webhook", query).await?;
        rows.first().map(|row| row.text("body")).transpose()
    }

    async fn note_tried(&self, sequence: u64, at: UnixMillis, tried: &Tried) -> Outcomes<()> {
        let (sequence, (state, due_at, error)) = (sequence.cast_signed(), after(tried));
        if due_at.is_none() {
            self.writer.rows("forget a webhook", sqlx::query(sql::DROP_NOTICE).bind(sequence)).await?;
        }
        let query = sqlx::query(sql::NOTE_TRIED).bind(state).bind(due_at).bind(error.map(storable));
        let query = query.bind(at.0.cast_signed()).bind(sequence);
        self.writer.rows("write what came of a webhook", query).await.map(drop)
    }

    async fn delivery(&self, job: JobId) -> Outcomes<Option<Delivery>> {
        let rows =
            self.others.rows("read a webhook", sqlx::query(sql::DELIVERY).bind(Uuid::from(job))).await?;
        rows.first().map(delivery_of).transpose()
    }

    async fn keep_upload(&self, upload: &Upload) -> Outcomes<()> {
        let query = sqlx::query(sql::KEEP_UPLOAD)
            .bind(&upload.file.kind)
            .bind(&upload.file.subfolder)
            .bind(&upload.file.filename)
            .bind(upload.sha256.as_slice())
            .bind(upload.size_bytes.cast_signed());
        self.writer.rows("keep an upload", query).await.map(drop)
    }

    async fn uploads(&self) -> Outcomes<Vec<Upload>> {
        let rows = self.others.rows("list uploads", sqlx::query(sql::UPLOADS)).await?;
        rows.iter().map(upload_of).collect()
    }

    async fn made_as(&self, file: &FileRef) -> Outcomes<Vec<FileRef>> {
        let query = sqlx::query("SELECT outputs FROM result WHERE strpos(outputs, $1) > 0 LIMIT $2")
            .bind(name_in_results(file))
            .bind(limits::HISTORY_PAGE.cast_signed());
        let rows = self.others.rows("look for a file's maker", query).await?;
        made_as(&rows, file)
    }

    async fn setting(&self, key: &str, make: String) -> Outcomes<String> {
        self.writer.rows("keep a setting", sqlx::query(sql::MAKE_SETTING).bind(key).bind(make)).await?;
        let rows = self.others.rows("read a setting", sqlx::query(sql::SETTING).bind(key)).await?;
        the_one(&rows)?.text("value")
    }

    async fn keep_setting(&self, key: &str, value: &str) -> Outcomes<()> {
        let query = sqlx::query(sql::KEEP_SETTING).bind(key).bind(value);
        self.writer.rows("keep a setting", query).await.map(drop)
    }
}
