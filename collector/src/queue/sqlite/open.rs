//! Opens the database: only one that is ours, by one process at a time, at this program's version of the schema.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};
use sqlx::{ConnectOptions, SqliteConnection};

use super::super::directory::claim;
use super::super::error::{Error, Outcomes, failed};
use super::Sqlite;
use super::fill::fill;

/// "orch" in ASCII: SQLite keeps it in the file's header, and `file` shows it.
const APPLICATION_ID: i64 = 0x6f72_6368;
const SIGN: &str = "PRAGMA application_id = 0x6f726368";
const READERS: u32 = 4;
const BUSY_FOR: Duration = Duration::from_secs(5);

/// Never changed once released: a schema grows by the next file, which has its PostgreSQL twin.
pub(in crate::queue) const MIGRATIONS: [(i64, &str, &str); 9] = [
    (1, "jobs", include_str!("../../../migrations/sqlite/0001_jobs.sql")),
    (2, "lists", include_str!("../../../migrations/sqlite/0002_lists.sql")),
    (3, "owner", include_str!("../../../migrations/sqlite/0003_owner.sql")),
    (4, "uploads", include_str!("../../../migrations/sqlite/0004_uploads.sql")),
    (5, "wishes", include_str!("../../../migrations/sqlite/0005_wishes.sql")),
    (6, "webhooks", include_str!("../../../migrations/sqlite/0006_webhooks.sql")),
    (7, "course", include_str!("../../../migrations/sqlite/0007_course.sql")),
    (8, "history", include_str!("../../../migrations/sqlite/0008_history.sql")),
    (9, "copies", include_str!("../../../migrations/sqlite/0009_copies.sql")),
];

impl Sqlite {
    /// Opens or creates `collector.sqlite` in `directory`.
    pub async fn open(directory: &Path) -> Outcomes<Self> {
        let lock = claim(directory)?;
        let path = Self::path_in(directory);
        let options = options(&path).create_if_missing(true);
        check_owner(&path).await?;
        let pool = |connections| SqlitePoolOptions::new().max_connections(connections);
        let writer = pool(1).connect_with(options.clone()).await.map_err(|e| open_error(&path, &e))?;
        migrate(&path, &writer, &MIGRATIONS).await?;
        fill(&writer).await?;
        let readers = pool(READERS).connect_with(options).await.map_err(|e| open_error(&path, &e))?;
        let last = sqlx::query_scalar("SELECT coalesce(max(arrival), 0) FROM job");
        let last: i64 = last.fetch_one(&readers).await.map_err(failed("load the queue"))?;
        Ok(Self { writer, readers, last_arrival: last.unsigned_abs().into(), _lock: lock })
    }
}

impl Sqlite {
    pub(in crate::queue) fn path_in(directory: &Path) -> PathBuf {
        directory.join("collector.sqlite")
    }

    /// One connection to what is there as it is, a collector at work on it or not.
    pub(in crate::queue) async fn look(directory: &Path) -> Outcomes<SqliteConnection> {
        let path = Self::path_in(directory);
        if !path.exists() {
            let advice = "there is no database; name the collector's state directory with --state-directory, its file \
                          with --config, or its server with --database";
            return Err(Error::Unfit { place: path.display().to_string(), advice: advice.to_owned() });
        }
        check_owner(&path).await?;
        options(&path).connect().await.map_err(|e| open_error(&path, &e))
    }
}

/// Rows that a connection's thread reads ahead: each time that it waits costs as much as many rows.
const ROWS_AHEAD: usize = 1024;

/// SQLite's result code for a file that is no database at all.
const SQLITE_NOTADB: &str = "26";

fn open_error(path: &Path, error: &sqlx::Error) -> Error {
    let code = error.as_database_error().and_then(|e| e.code());
    match code.as_deref() {
        Some(SQLITE_NOTADB) => foreign(path, "it is not an SQLite database".into()),
        _ => Error::Open { path: path.to_owned(), reason: error.to_string() },
    }
}

/// Looks at an existing file without changing a byte of it: it must be ours, or empty.
async fn check_owner(path: &Path) -> Outcomes<()> {
    if !path.exists() {
        return Ok(());
    }
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = options.connect().await.map_err(|e| open_error(path, &e))?;
    let owner: i64 = pragma(&mut connection, path, "PRAGMA application_id").await?;
    let tables: i64 = pragma(&mut connection, path, "SELECT count(*) FROM sqlite_schema").await?;
    if owner == APPLICATION_ID || (owner == 0 && tables == 0) {
        return Ok(());
    }
    let reason = format!("another program made it: application id {owner}, {tables} tables and indexes");
    Err(foreign(path, reason))
}

fn options(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .foreign_keys(true)
        .busy_timeout(BUSY_FOR)
        .row_buffer_size(ROWS_AHEAD)
        .disable_statement_logging()
}

fn foreign(path: &Path, reason: String) -> Error {
    Error::Foreign { place: path.display().to_string(), reason, flag: "--state-directory" }
}

async fn pragma(connection: &mut SqliteConnection, path: &Path, sql: &'static str) -> Outcomes<i64> {
    sqlx::query_scalar(sql).fetch_one(connection).await.map_err(|e| open_error(path, &e))
}

async fn migrate(
    path: &Path,
    pool: &SqlitePool,
    migrations: &[(i64, &'static str, &'static str)],
) -> Outcomes<()> {
    sqlx::query(SIGN).execute(pool).await.map_err(|e| open_error(path, &e))?;
    let migrations = migrations.iter().map(|&(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sqlx::SqlStr::from_static(sql), false)
    });
    Migrator::with_migrations(migrations.collect()).run(pool).await.map_err(|error| {
        let reason = error.to_string();
        match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
                Error::Newer { place: path.display().to_string(), reason }
            }
            _ => Error::Open { path: path.to_owned(), reason },
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::super::{Filter, Page, Sort, Store, Window};
    use super::*;
    use crate::clock::UnixMillis;
    use crate::id::JobId;

    const EARLIER: &str = include_str!("../../../tests/schema/0001.sql");

    /// A database as the first schema left it: one job that failed, one that succeeded, one that waits.
    async fn earlier(directory: &Path) {
        let path = directory.join("collector.sqlite");
        let options = SqliteConnectOptions::new().filename(&path).create_if_missing(true);
        let pool = SqlitePool::connect_with(options).await.unwrap();
        let first = MIGRATIONS.first().copied().unwrap();
        migrate(&path, &pool, &[first]).await.unwrap();
        sqlx::raw_sql(EARLIER).execute(&pool).await.unwrap();
        pool.close().await;
    }

    #[tokio::test]
    async fn a_database_of_the_first_schema_is_taken_over_and_its_jobs_are_listed_in_full() {
        let directory = tempfile::tempdir().unwrap();
        earlier(directory.path()).await;
        let store = Sqlite::open(directory.path()).await.unwrap();
        let window = Window { sort: Sort::Submitted, ascending: true, before: None, limit: 10, offset: 0 };
        let jobs = store.list(&Filter::default(), &window).await.unwrap();
        let words: Vec<_> = jobs.iter().map(|job| job.standing.as_str()).collect();
        assert_eq!(words, ["failed", "succeeded", "waiting"]);
        let [failed, succeeded, waiting] = jobs.as_slice() else { panic!("{jobs:?}") };
        assert_eq!(failed.execution_error.as_ref().unwrap()["exception_type"], "ValueError");
        assert_eq!(succeeded.backend.as_ref().unwrap().as_str(), "b", "its last attempt's");
        assert_eq!(succeeded.workflow_id.as_deref(), Some("w"));
        let times = (succeeded.summary.execution_start, succeeded.summary.execution_end);
        assert_eq!(times, (Some(UnixMillis(2100)), Some(UnixMillis(2900))));
        assert_eq!(succeeded.summary.outputs.preview.as_ref().unwrap()["filename"], "a.png");
        assert_eq!((&waiting.backend, waiting.summary.outputs.count), (&None, 0));
        assert_eq!(store.live().await.unwrap().len(), 1);
        assert_eq!(store.history(Page::default()).await.unwrap().len(), 2);
        let waits = JobId::canonical("00000000-0000-4000-8000-000000000003").unwrap();
        assert_eq!(store.documents(waits).await.unwrap().unwrap().prompt.get(), "{\"1\":  {}}");
    }

    #[tokio::test]
    async fn jobs_beyond_one_step_are_summed_up_too() {
        let directory = tempfile::tempdir().unwrap();
        earlier(directory.path()).await;
        let path = directory.path().join("collector.sqlite");
        let pool = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
        let copies = "WITH RECURSIVE n(i) AS (SELECT 10 UNION ALL SELECT i + 1 FROM n WHERE i < 609) \
             INSERT INTO job SELECT printf('00000000-0000-4000-8000-%012d', i), i, number, number_given, client_id, peer, \
             needs, fingerprint, submitted_at, state, attempts, spent_attempts, outcome, ended_at \
             FROM n, job WHERE job.arrival = 2; \
             INSERT INTO result SELECT id, outputs, status, meta FROM job, result \
             WHERE arrival >= 10 AND job_id = '00000000-0000-4000-8000-000000000002'";
        sqlx::raw_sql(copies).execute(&pool).await.unwrap();
        pool.close().await;
        let store = Sqlite::open(directory.path()).await.unwrap();
        let without = "SELECT count(*) FROM job WHERE state = 'ended' AND outputs_count IS NULL";
        let left: i64 = sqlx::query_scalar(without).fetch_one(&store.writer).await.unwrap();
        assert_eq!((left, store.count(&Filter::default()).await.unwrap()), (0, 603));
    }

    #[tokio::test]
    async fn uploads_kept_by_the_first_schema_are_of_type_input() {
        let directory = tempfile::tempdir().unwrap();
        earlier(directory.path()).await;
        let path = directory.path().join("collector.sqlite");
        let old = SqlitePool::connect_with(SqliteConnectOptions::new().filename(&path)).await.unwrap();
        let insert = sqlx::query("INSERT INTO upload VALUES ('s', 'a.png', zeroblob(32), 5)");
        insert.execute(&old).await.unwrap();
        old.close().await;
        let uploads = Sqlite::open(directory.path()).await.unwrap().uploads().await.unwrap();
        let [upload] = &uploads[..] else { panic!("{uploads:?}") };
        assert_eq!((upload.file.kind.as_str(), upload.file.subfolder.as_str()), ("input", "s"));
        assert_eq!((upload.file.filename.as_str(), upload.size_bytes), ("a.png", 5));
    }
}
