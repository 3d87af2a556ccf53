//! `bench submit`: what `POST /prompt` takes through the collector, which answers when the job is on disk, beside the
//! same prompts posted directly to a simulated ComfyUI. The server's jobs are held, so that nothing but submission
//! happens.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread::{self, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use sim::{Comfy, Generation};

use crate::client::Connection;
use crate::disk::{DurableWrite, Probe};
use crate::figures::{Latency, Rounds, Spread, shown_times, time, times};
use crate::output::{Findings, Table};
use crate::prompt;
use crate::stage::{self, Collector, Disk, Servers};

const CONNECTIONS: [usize; 3] = [1, 8, 64];
/// A server's own cost of a submission grows with what waits there, and that is not what is measured.
pub(crate) const CLEAR_EVERY: usize = 50;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Submissions in each round, for each number of connections
    #[arg(long, default_value_t = 1000)]
    jobs: usize,
    /// Rounds, each with a collector and a database of its own
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the collector keeps its queue meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    jobs: usize,
    rounds: usize,
    disk: Disk,
    levels: Vec<Level>,
    /// The mean time of a transaction of the queue, as the collector's own metrics tell it.
    commit_mean_us: Option<Spread>,
    durable_write: DurableWrite,
    notes: Vec<String>,
}

/// One number of connections.
#[derive(Debug, Serialize)]
struct Level {
    connections: usize,
    direct: Measured,
    collector: Measured,
    /// The collector's median less that of the server, round by round.
    added_p50_us: Spread,
    added_p99_us: Spread,
}

#[derive(Debug, Serialize)]
pub(crate) struct Measured {
    pub(crate) latency: Rounds,
    /// Submissions a second.
    pub(crate) rate: Spread,
}

/// What a round found.
struct Round {
    /// For each number of connections.
    pairs: Vec<Pair>,
    commit_mean_us: Option<f64>,
}

struct Pair {
    direct: Run,
    collector: Run,
}

pub(crate) struct Run {
    pub(crate) took: Vec<Duration>,
    pub(crate) rate: f64,
}

impl Run {
    /// Of all clients together, which begin now: what each of their submissions took.
    pub(crate) fn of(clients: Vec<ScopedJoinHandle<'_, Result<Vec<Duration>>>>) -> Result<Self> {
        let began = Instant::now();
        let mut took = Vec::new();
        for client in clients {
            took.extend(client.join().map_err(|_| anyhow!("a client was lost"))??);
        }
        let rate = took.len() as f64 / began.elapsed().as_secs_f64();
        Ok(Self { took, rate })
    }
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let disk = Disk::at(options.state.as_deref())?;
    let mut levels: Vec<Vec<Pair>> = CONNECTIONS.iter().map(|_| Vec::new()).collect();
    let (mut commits, mut probe) = (Vec::new(), Probe::default());
    for _ in 0..options.rounds {
        let round = round(options.jobs, &disk)?;
        levels.iter_mut().zip(round.pairs).for_each(|(level, pair)| level.push(pair));
        commits.extend(round.commit_mean_us);
        probe.round(&disk)?;
    }
    let levels = CONNECTIONS.iter().zip(levels).map(|(connections, pairs)| level(*connections, pairs));
    let levels = levels.collect::<Option<Vec<_>>>().context("--rounds and --jobs must be at least 1")?;
    let notes = std::iter::once(disk.line()).chain(disk.warning()).collect();
    let durable_write = probe.found().context("--rounds must be at least 1")?;
    Ok(Outcome {
        measurement: "submit",
        jobs: options.jobs,
        rounds: options.rounds,
        disk,
        levels,
        commit_mean_us: Spread::of(commits),
        durable_write,
        notes,
    })
}

/// Both targets in turn for every number of connections.
fn round(jobs: usize, disk: &Disk) -> Result<Round> {
    let (behind, alone) = (Servers::start(1, Generation::V0_8)?, Servers::start(1, Generation::V0_8)?);
    behind.comfy.iter().chain(&alone.comfy).for_each(Comfy::hold);
    let collector = Collector::start(&behind, disk)?;
    let alone = stage::address(alone.comfy.first().context("no server was started")?)?;
    // Once each, so that no connection pays for what is made once.
    submit(alone, 1, 10, true)?;
    submit(collector.address(), 1, 10, false)?;
    let pair = |connections| {
        let direct = submit(alone, connections, jobs, true)?;
        Ok(Pair { direct, collector: submit(collector.address(), connections, jobs, false)? })
    };
    let pairs = CONNECTIONS.into_iter().map(pair).collect::<Result<_>>()?;
    let commit_mean_us = collector.mean("commit_seconds")?.map(|seconds| seconds * 1e6);
    Ok(Round { pairs, commit_mean_us })
}

/// Posts `jobs` prompts over so many connections, each sending its next when the last is answered.
pub(crate) fn submit(address: SocketAddr, connections: usize, jobs: usize, clears: bool) -> Result<Run> {
    let start = Barrier::new(connections + 1);
    let each = jobs.div_ceil(connections);
    thread::scope(|scope| {
        let worker = |first: usize| {
            let start = &start;
            scope.spawn(move || posts(address, first * each, each, clears, start))
        };
        let workers: Vec<_> = (0..connections).map(worker).collect();
        start.wait();
        Run::of(workers)
    })
}

fn posts(
    address: SocketAddr,
    first: usize,
    count: usize,
    clears: bool,
    start: &Barrier,
) -> Result<Vec<Duration>> {
    let bodies: Vec<String> =
        (first..first + count).map(|seed| prompt::body(&prompt::text_to_image(seed))).collect();
    let connection = Connection::open(address);
    start.wait();
    let mut connection = connection?;
    let mut took = Vec::with_capacity(count);
    for (index, body) in bodies.iter().enumerate() {
        took.push(connection.post("/prompt", body)?.ok()?.took);
        if clears && index % CLEAR_EVERY == 0 {
            connection.post("/queue", r#"{"clear": true}"#)?.ok()?;
        }
    }
    Ok(took)
}

fn level(connections: usize, pairs: Vec<Pair>) -> Option<Level> {
    let added = |percentile: fn(&Run) -> Option<f64>| {
        let differences =
            pairs.iter().map(|pair| Some(percentile(&pair.collector)? - percentile(&pair.direct)?));
        Spread::of(differences.collect::<Option<Vec<f64>>>()?)
    };
    let (added_p50_us, added_p99_us) = (added(Run::p50_us)?, added(Run::p99_us)?);
    let (direct, collector) = pairs.into_iter().map(|pair| (pair.direct, pair.collector)).unzip();
    let (direct, collector) = (Measured::of(direct)?, Measured::of(collector)?);
    Some(Level { connections, direct, collector, added_p50_us, added_p99_us })
}

impl Run {
    pub(crate) fn p50_us(&self) -> Option<f64> {
        Latency::of(self.took.clone()).map(|latency| latency.p50_us)
    }

    pub(crate) fn p99_us(&self) -> Option<f64> {
        Latency::of(self.took.clone()).map(|latency| latency.p99_us)
    }
}

impl Measured {
    pub(crate) fn of(runs: Vec<Run>) -> Option<Self> {
        let rate = Spread::of(runs.iter().map(|run| run.rate))?;
        Some(Self { latency: Rounds::of(runs.into_iter().map(|run| run.took))?, rate })
    }
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![self.latency_table(), self.added_table(), self.disk_table()]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn latency_table(&self) -> Table {
        let title = format!(
            "POST /prompt: median of {} rounds of {} submissions (least–greatest)",
            self.rounds, self.jobs
        );
        let mut table = Table::new(title, &["to", "connections", "p50", "p99", "max", "a second"]);
        for level in &self.levels {
            for (to, measured) in [("simulated ComfyUI", &level.direct), ("collector", &level.collector)] {
                let cells = [to.to_owned(), level.connections.to_string()];
                let rate = measured.rate.shown(|rate| format!("{rate:.0}"));
                table.row(cells.into_iter().chain(measured.latency.cells()).chain([rate]));
            }
        }
        table
    }

    fn added_table(&self) -> Table {
        let title = "What the collector adds (its percentile less the server's, round by round)";
        let mut table = Table::new(title, &["connections", "p50", "p99", "p50 / p50 of one durable write"]);
        let write = self.durable_write.overwritten.p50_us.median;
        for level in &self.levels {
            let added = [level.added_p50_us, level.added_p99_us].map(|added| added.shown(time));
            let ratio = shown_times(times(level.added_p50_us.median, write));
            table.row([level.connections.to_string()].into_iter().chain(added).chain([ratio]));
        }
        table
    }

    fn disk_table(&self) -> Table {
        let mut table = self.durable_write.table();
        if let Some(commit) = self.commit_mean_us {
            let mean = format!("mean {}", commit.shown(time));
            table.row(["a transaction of the collector's".to_owned(), mean]);
        }
        table
    }
}
