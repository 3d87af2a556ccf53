//! Looks through a database that may be in use, and changes nothing.

use sqlx::AssertSqlSafe;

use super::super::columns::Columns;
use super::super::error::{Outcomes, failed};
use super::Place;
use super::side::Side;

/// What a database holds, and what is wrong with it.
#[derive(Debug, Default)]
pub struct Findings {
    pub waiting: u64,
    pub dispatched: u64,
    pub ended: u64,
    /// One sentence each.
    pub problems: Vec<String>,
}

/// What there must be none of.
const NONE_OF: [(&str, &str); 6] = [
    ("jobs without their prompt", "job WHERE NOT EXISTS (SELECT 1 FROM document WHERE job_id = job.id)"),
    (
        "ended jobs without results",
        "job WHERE state = 'ended' AND NOT EXISTS (SELECT 1 FROM result WHERE job_id = job.id)",
    ),
    (
        "jobs with a backend that no attempt tells of",
        "job WHERE state = 'dispatched' AND NOT EXISTS \
         (SELECT 1 FROM attempt WHERE job_id = job.id AND attempt.number = job.attempts AND ended_at IS NULL)",
    ),
    (
        "ended jobs of which it is not known how or when",
        "job WHERE state = 'ended' AND (outcome IS NULL OR ended_at IS NULL)",
    ),
    ("jobs that have an outcome and have not ended", "job WHERE state <> 'ended' AND outcome IS NOT NULL"),
    ("jobs in a state that is none", "job WHERE state NOT IN ('waiting', 'dispatched', 'ended')"),
];

pub async fn check(place: &Place) -> Outcomes<Findings> {
    let mut side = place.look().await?;
    side.begin_to_read().await?;
    let mut findings = Findings {
        waiting: side.count("job WHERE state = 'waiting'").await?,
        dispatched: side.count("job WHERE state = 'dispatched'").await?,
        ended: side.count("job WHERE state = 'ended'").await?,
        problems: side.damages().await?,
    };
    for (what, rows) in NONE_OF {
        match side.count(rows).await? {
            0 => {}
            count => findings.problems.push(format!("{count} {what}")),
        }
    }
    Ok(findings)
}

impl Side {
    async fn count(&mut self, rows: &'static str) -> Outcomes<u64> {
        let sql = AssertSqlSafe(format!("SELECT count(*) AS n FROM {rows}"));
        let failed = failed("look through the database");
        match self {
            Self::Sqlite(db) => sqlx::query(sql).fetch_one(db).await.map_err(failed)?.count("n"),
            Self::Postgres(db) => sqlx::query(sql).fetch_one(db).await.map_err(failed)?.count("n"),
        }
    }

    /// What the database itself finds broken in its pages and references. A server checks its references at all times.
    async fn damages(&mut self) -> Outcomes<Vec<String>> {
        let Self::Sqlite(db) = self else { return Ok(Vec::new()) };
        let looked = failed("look through the database");
        let found: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(20)").fetch_all(&mut *db).await.map_err(looked)?;
        let mut damages: Vec<String> = found.into_iter().filter(|line| line != "ok").collect();
        let orphans = sqlx::query("PRAGMA foreign_key_check").fetch_all(db).await;
        match orphans.map_err(failed("look through the database"))?.len() {
            0 => {}
            count => damages.push(format!("{count} rows refer to a job that is not there")),
        }
        Ok(damages)
    }
}
