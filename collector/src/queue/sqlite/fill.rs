//! Summaries of jobs that ended under an earlier schema, made when the database is opened. It takes up where it was
//! interrupted.

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteRow;

use super::super::columns::Columns;
use super::super::error::{Outcomes, failed};
use super::super::row::results_of;
use super::write::write_summary;
use crate::job::{Results, Summary};

/// Jobs of one transaction.
const STEP: i64 = 256;

pub(super) async fn fill(pool: &SqlitePool) -> Outcomes<()> {
    while step(pool).await? > 0 {}
    Ok(())
}

/// Every start looks for them.
pub(super) const WITHOUT_SUMMARY: &str = "SELECT job.id, outputs, status, meta \
     FROM job INDEXED BY job_without_summary JOIN result ON result.job_id = job.id \
     WHERE state = 'ended' AND outputs_count IS NULL LIMIT ?";

/// How many were summed up.
async fn step(pool: &SqlitePool) -> Outcomes<usize> {
    let rows = sqlx::query(WITHOUT_SUMMARY).bind(STEP).fetch_all(pool).await;
    let rows = rows.map_err(failed("read earlier results"))?;
    let mut transaction = pool.begin().await.map_err(failed("begin a transaction"))?;
    for row in &rows {
        write_summary(&mut transaction, row.job("id")?, &Summary::of(&results(row))).await?;
    }
    transaction.commit().await.map_err(failed("commit"))?;
    Ok(rows.len())
}

/// One that cannot be read is no reason not to start: whoever asks for it is told.
fn results(row: &SqliteRow) -> Results {
    results_of(row).unwrap_or_else(|error| {
        tracing::warn!(%error, "an ended job is listed without what came of it");
        Results::default()
    })
}
