//! `bench store`: durable submissions a second, through the collector's queue into either database, beside plain inserts
//! of as many bytes into the same one, each a transaction of its own, and beside `pgbench` with such an insert. No HTTP.

mod ours;
mod pgbench;
mod plain;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use sim::postgres::Cluster;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

use self::plain::Database;
use crate::cluster;
use crate::disk::{DurableWrite, Probe};
use crate::figures::{shown_times, times};
use crate::output::{Findings, Table};
use crate::stage::Disk;
use crate::submit::{Measured, Run};

const SUBMITTERS: [usize; 3] = [1, 16, 64];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Submissions in each round, for each number of submitters
    #[arg(long, default_value_t = 4000)]
    jobs: usize,
    /// Rounds, each with databases of its own
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the databases are meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    jobs: usize,
    rounds: usize,
    disk: Disk,
    /// Of what a plain insert writes: what a job's two rows hold.
    payload_bytes: usize,
    levels: Vec<Level>,
    durable_write: DurableWrite,
    notes: Vec<String>,
}

/// One way into one database, with so many submitters.
#[derive(Debug, Serialize)]
struct Level {
    database: &'static str,
    way: &'static str,
    submitters: usize,
    measured: Measured,
}

/// What a round found, in the same order every time.
struct Part {
    database: &'static str,
    way: &'static str,
    submitters: usize,
    run: Run,
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let disk = Disk::at(options.state.as_deref())?;
    let mut notes: Vec<String> = std::iter::once(disk.line()).chain(disk.warning()).collect();
    let cluster = cluster::start(&disk)?.map_err(|reason| notes.push(reason)).ok();
    let payload = ours::payload()?;
    let (mut rounds, mut probe) = (Vec::new(), Probe::default());
    for number in 0..options.rounds {
        rounds.push(round(options.jobs, &disk, cluster.as_ref(), number, &payload)?);
        probe.round(&disk)?;
    }
    let few = "--rounds and --jobs must be at least 1";
    Ok(Outcome {
        measurement: "store",
        jobs: options.jobs,
        rounds: options.rounds,
        payload_bytes: payload.len(),
        levels: levels(rounds).context(few)?,
        durable_write: probe.found().context(few)?,
        disk,
        notes,
    })
}

/// Each database in turn, and in it each way.
fn round(
    jobs: usize,
    disk: &Disk,
    cluster: Option<&Cluster>,
    number: usize,
    payload: &str,
) -> Result<Vec<Part>> {
    // Of a round's own, so that what it leaves running ends with it.
    let runtime = Runtime::new().context("start an async runtime")?;
    let (folder, mut parts) = (disk.folder()?, Vec::new());
    let mut databases = vec![Database::Sqlite(folder.path().to_owned())];
    if let Some(cluster) = cluster {
        databases.push(Database::Postgres(cluster.database(&format!("round{number}"))?));
    }
    for database in &databases {
        let queue = runtime.block_on(ours::open(database, folder.path()))?;
        for submitters in SUBMITTERS {
            let each = jobs.div_ceil(submitters);
            let mut part = |way, run| parts.push(Part { database: database.name(), way, submitters, run });
            part("collector's queue", runtime.block_on(ours::submit(&queue, submitters, each))?);
            part("plain inserts", runtime.block_on(plain::insert(database, submitters, each, payload))?);
            if let (Database::Postgres(url), Some(cluster)) = (database, cluster) {
                part("pgbench", pgbench::run(cluster, url, folder.path(), submitters, each, payload)?);
            }
        }
    }
    Ok(parts)
}

/// What so many tasks took together for each of their writes.
async fn together(tasks: Vec<impl Future<Output = Result<Vec<Duration>>> + Send + 'static>) -> Result<Run> {
    let began = Instant::now();
    let mut tasks: JoinSet<_> = tasks.into_iter().collect();
    let mut took = Vec::new();
    while let Some(done) = tasks.join_next().await {
        took.extend(done.context("a submitter was lost")??);
    }
    let rate = took.len() as f64 / began.elapsed().as_secs_f64();
    Ok(Run { took, rate })
}

/// `None` without rounds.
fn levels(rounds: Vec<Vec<Part>>) -> Option<Vec<Level>> {
    let mut rounds: Vec<_> = rounds.into_iter().map(Vec::into_iter).collect();
    let mut levels = Vec::new();
    loop {
        let parts: Vec<Part> = rounds.iter_mut().filter_map(Iterator::next).collect();
        let Some(first) = parts.first() else { return (!levels.is_empty()).then_some(levels) };
        let (database, way, submitters) = (first.database, first.way, first.submitters);
        let measured = Measured::of(parts.into_iter().map(|part| part.run).collect())?;
        levels.push(Level { database, way, submitters, measured });
    }
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        let title = format!(
            "Durable writes of about {} bytes: median of {} rounds of {} (least–greatest)",
            self.payload_bytes, self.rounds, self.jobs
        );
        let head = ["database, way", "submitters", "p50", "p99", "max", "a second", "of plain"];
        let mut table = Table::new(title, &head);
        for level in &self.levels {
            let cells = [format!("{}, {}", level.database, level.way), level.submitters.to_string()];
            let rate = level.measured.rate.shown(|rate| format!("{rate:.0}"));
            let of_plain = self.plain(level).and_then(|plain| times(level.measured.rate.median, plain));
            table.row(
                cells.into_iter().chain(level.measured.latency.cells()).chain([rate, shown_times(of_plain)]),
            );
        }
        vec![table, self.durable_write.table()]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    /// The rate of plain inserts into the same database by as many.
    fn plain(&self, level: &Level) -> Option<f64> {
        let is_peer = |other: &&Level| {
            (other.database, other.submitters, other.way)
                == (level.database, level.submitters, "plain inserts")
        };
        self.levels.iter().find(is_peer).map(|plain| plain.measured.rate.median)
    }
}
