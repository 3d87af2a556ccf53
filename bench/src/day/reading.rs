//! What is read every few minutes: of the process, as Linux tells; of its database, table by table; of its directory.

use std::fs::read_dir;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{AssertSqlSafe, ConnectOptions, SqliteConnection};
use tokio::runtime::{Builder, Runtime};

use super::quarters::{Figure, Kind};
use crate::stage::{Collector, Servers};
use crate::usage;

pub(super) struct Reader<'a> {
    pid: u32,
    directory: PathBuf,
    servers: &'a Servers,
    database: SqliteConnection,
    runtime: Runtime,
    tables: Vec<String>,
    /// By figure, in the order of their readings.
    series: Vec<(String, Kind, Vec<f64>)>,
    /// Of each reading: the share of servers that ran something.
    at_work: Vec<f64>,
}

impl<'a> Reader<'a> {
    pub(super) fn open(collector: &Collector, servers: &'a Servers) -> Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build().context("start an async runtime")?;
        let directory = collector.state().to_owned();
        let options =
            SqliteConnectOptions::new().filename(directory.join("collector.sqlite")).read_only(true);
        let (database, tables) = runtime.block_on(async {
            let mut database = options.connect().await?;
            let names =
                "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY 1";
            let tables = sqlx::query_scalar(names).fetch_all(&mut database).await?;
            Ok::<_, sqlx::Error>((database, tables))
        })?;
        let (series, at_work, pid) = (Vec::new(), Vec::new(), collector.pid());
        Ok(Self { pid, directory, servers, database, runtime, tables, series, at_work })
    }

    pub(super) fn read(&mut self) -> Result<()> {
        let memory = usage::memory(self.pid)?;
        let (files, bytes) = files(&self.directory)?;
        let mut figures = vec![
            ("resident memory".to_owned(), Kind::Bytes, memory.rss_bytes as f64),
            ("memory of its own".to_owned(), Kind::Bytes, memory.anonymous_bytes as f64),
            ("descriptors".to_owned(), Kind::Count, entries(&format!("/proc/{}/fd", self.pid))?),
            ("threads".to_owned(), Kind::Count, entries(&format!("/proc/{}/task", self.pid))?),
            ("files".to_owned(), Kind::Count, files),
            ("bytes of files".to_owned(), Kind::Bytes, bytes),
        ];
        for table in &self.tables {
            let sql = AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
            let count = sqlx::query_scalar::<_, i64>(sql).fetch_one(&mut self.database);
            let count = self.runtime.block_on(count).with_context(|| format!("count the rows of {table}"))?;
            figures.push((format!("rows of {table}"), Kind::Count, count as f64));
        }
        if self.series.is_empty() {
            self.series = figures.iter().map(|(name, kind, _)| (name.clone(), *kind, Vec::new())).collect();
        }
        for ((_, _, series), (_, _, figure)) in self.series.iter_mut().zip(figures) {
            series.push(figure);
        }
        let servers = &self.servers.comfy;
        let running = servers.iter().filter(|server| server.running().is_some()).count();
        self.at_work.push(running as f64 / servers.len() as f64);
        Ok(())
    }

    pub(super) fn count(&self) -> usize {
        self.at_work.len()
    }

    pub(super) fn at_work(&self) -> f64 {
        self.at_work.iter().sum::<f64>() / self.at_work.len().max(1) as f64
    }

    /// `None` where there are too few readings.
    pub(super) fn figures(self) -> Option<Vec<Figure>> {
        self.series.into_iter().map(|(name, kind, series)| Figure::of(name, kind, &series)).collect()
    }
}

fn entries(folder: &str) -> Result<f64> {
    Ok(read_dir(folder).with_context(|| format!("look into {folder}"))?.count() as f64)
}

/// How many, and their bytes. What goes away meanwhile does not count.
fn files(folder: &Path) -> Result<(f64, f64)> {
    let (mut files, mut bytes) = (0.0, 0.0);
    for entry in read_dir(folder).with_context(|| format!("look into {}", folder.display()))?.flatten() {
        let Ok(found) = entry.metadata() else { continue };
        if found.is_dir() {
            let (more, their_bytes) = files_in(&entry.path());
            files += more;
            bytes += their_bytes;
        } else {
            files += 1.0;
            bytes += found.len() as f64;
        }
    }
    Ok((files, bytes))
}

fn files_in(folder: &Path) -> (f64, f64) {
    files(folder).unwrap_or_default()
}
