//! Without the collector: one row of two columns, one transaction each.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor, PgConnection, SqliteConnection};
use tokio::sync::Mutex;

use super::together;
use crate::submit::Run;

/// Where it is: SQLite's file in a directory, PostgreSQL's by its URL.
pub(super) enum Database {
    Sqlite(PathBuf),
    Postgres(String),
}

impl Database {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Sqlite(_) => "SQLite",
            Self::Postgres(_) => "PostgreSQL",
        }
    }
}

/// A connection that inserts.
enum Inserting {
    /// SQLite has one writer at a time: several connections would only wait for each other, asleep.
    Sqlite(Arc<Mutex<SqliteConnection>>),
    Postgres(PgConnection),
}

const TABLE: &str = "CREATE TABLE IF NOT EXISTS plain (id text PRIMARY KEY, payload text NOT NULL)";

pub(super) async fn insert(
    database: &Database,
    submitters: usize,
    each: usize,
    payload: &str,
) -> Result<Run> {
    let payload: Arc<str> = payload.into();
    let connections = database.connections(submitters).await.context("connect to insert")?;
    together(connections.into_iter().map(|one| one.insert_all(each, Arc::clone(&payload))).collect()).await
}

impl Database {
    async fn connections(&self, count: usize) -> sqlx::Result<Vec<Inserting>> {
        let mut connections = Vec::new();
        match self {
            Self::Sqlite(directory) => {
                let options = SqliteConnectOptions::new().filename(directory.join("plain.sqlite"));
                let options = options.create_if_missing(true).journal_mode(SqliteJournalMode::Wal);
                let mut connection = options.synchronous(SqliteSynchronous::Full).connect().await?;
                connection.execute(TABLE).await?;
                let connection = Arc::new(Mutex::new(connection));
                connections.extend((0..count).map(|_| Inserting::Sqlite(Arc::clone(&connection))));
            }
            Self::Postgres(url) => {
                PgConnection::connect(url).await?.execute(TABLE).await?;
                for _ in 0..count {
                    connections.push(Inserting::Postgres(PgConnection::connect(url).await?));
                }
            }
        }
        Ok(connections)
    }
}

impl Inserting {
    async fn insert_all(mut self, each: usize, payload: Arc<str>) -> Result<Vec<Duration>> {
        let mut took = Vec::with_capacity(each);
        for _ in 0..each {
            let began = Instant::now();
            self.insert(&payload).await.context("insert a row")?;
            took.push(began.elapsed());
        }
        Ok(took)
    }

    async fn insert(&mut self, payload: &str) -> sqlx::Result<()> {
        match self {
            Self::Sqlite(connection) => {
                let query = sqlx::query("INSERT INTO plain VALUES (lower(hex(randomblob(16))), $1)");
                query.bind(payload).execute(&mut *connection.lock().await).await.map(drop)
            }
            Self::Postgres(connection) => {
                let query = sqlx::query("INSERT INTO plain VALUES (gen_random_uuid()::text, $1)");
                query.bind(payload).execute(connection).await.map(drop)
            }
        }
    }
}
