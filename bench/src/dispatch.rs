//! `bench dispatch`: how long a backend stands idle between two jobs of the collector's, beside a server that takes
//! them from its own queue. Measured at the servers: from the end of a job's last node to the beginning of the next.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use clap::Args;
use serde::Serialize;
use sim::{Comfy, Generation, Stamp, Step};

use crate::client::Connection;
use crate::disk::{DurableWrite, Probe};
use crate::figures::{Rounds, Spread, shown_times, time, times};
use crate::output::{Findings, Table};
use crate::prompt;
use crate::stage::{self, Collector, Disk, Servers};

const BACKENDS: [usize; 2] = [1, 4];
const GENERATIONS: [(&str, Generation); 2] = [("0.8", Generation::V0_8), ("2024", Generation::V2024)];

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Jobs in each round, for each backend
    #[arg(long, default_value_t = 100)]
    jobs: usize,
    /// How long a job runs
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    job_ms: u64,
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
    jobs_a_backend: usize,
    job_ms: u64,
    rounds: usize,
    disk: Disk,
    queues: Vec<Measured>,
    durable_write: DurableWrite,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    generation: &'static str,
    /// Whose queue the jobs came from.
    queue: &'static str,
    backends: usize,
    /// From the end of a job to the server's acceptance of the next; of jobs that were there already nothing.
    to_next_accepted: Rounds,
    /// From the end of a job to the beginning of the next.
    to_next_begun: Rounds,
    /// Jobs a second of all backends together.
    rate: Spread,
    /// The collector's mean transaction.
    commit_mean_us: Option<Spread>,
}

/// What one round found.
struct Run {
    accepted: Vec<Duration>,
    begun: Vec<Duration>,
    rate: f64,
    commit_mean_us: Option<f64>,
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let disk = Disk::at(options.state.as_deref())?;
    let (mut queues, mut probe) = (Vec::new(), Probe::default());
    for (name, generation) in GENERATIONS {
        let batch = Batch { generation, jobs: options.jobs, took: Duration::from_millis(options.job_ms) };
        let own = (0..options.rounds).map(|_| own_queue(batch));
        queues.push(measured(name, "ComfyUI's own", 1, own.collect::<Result<_>>()?)?);
        for backends in BACKENDS {
            let runs = (0..options.rounds).map(|_| {
                probe.round(&disk)?;
                collectors(batch, backends, &disk)
            });
            queues.push(measured(name, "collector's", backends, runs.collect::<Result<_>>()?)?);
        }
    }
    Ok(Outcome {
        measurement: "dispatch",
        jobs_a_backend: options.jobs,
        job_ms: options.job_ms,
        rounds: options.rounds,
        queues,
        durable_write: probe.found().context("--rounds must be at least 1")?,
        notes: std::iter::once(disk.line()).chain(disk.warning()).collect(),
        disk,
    })
}

/// What is submitted in a round.
#[derive(Clone, Copy, Debug)]
struct Batch {
    generation: Generation,
    /// For each backend.
    jobs: usize,
    /// How long each runs.
    took: Duration,
}

fn measured(
    generation: &'static str,
    queue: &'static str,
    backends: usize,
    runs: Vec<Run>,
) -> Result<Measured> {
    let few = || anyhow!("--rounds must be at least 1 and --jobs at least 2");
    let commit_mean_us = Spread::of(runs.iter().filter_map(|run| run.commit_mean_us));
    let rate = Spread::of(runs.iter().map(|run| run.rate)).ok_or_else(few)?;
    let (accepted, begun): (Vec<_>, Vec<_>) = runs.into_iter().map(|run| (run.accepted, run.begun)).unzip();
    let (to_next_accepted, to_next_begun) =
        (Rounds::of(accepted).ok_or_else(few)?, Rounds::of(begun).ok_or_else(few)?);
    Ok(Measured { generation, queue, backends, to_next_accepted, to_next_begun, rate, commit_mean_us })
}

/// The peer: all jobs in the queue of one server.
fn own_queue(batch: Batch) -> Result<Run> {
    let servers = Servers::start(1, batch.generation)?;
    let server = servers.comfy.first().context("no server was started")?;
    run(&servers, stage::address(server)?, batch)
}

fn collectors(batch: Batch, backends: usize, disk: &Disk) -> Result<Run> {
    let servers = Servers::start(backends, batch.generation)?;
    let collector = Collector::start(&servers, disk)?;
    let mut run = run(&servers, collector.address(), batch)?;
    run.commit_mean_us = collector.mean("commit_seconds")?.map(|seconds| seconds * 1e6);
    Ok(run)
}

/// Submits all jobs while the servers are held, then lets them run.
fn run(servers: &Servers, to: SocketAddr, batch: Batch) -> Result<Run> {
    let jobs = batch.jobs * servers.comfy.len();
    servers.comfy.iter().for_each(Comfy::hold);
    let mut connection = Connection::open(to)?;
    for seed in 0..jobs {
        connection.post("/prompt", &prompt::body(&prompt::pixel(seed, batch.took)))?.ok()?;
    }
    let began = Instant::now();
    servers.comfy.iter().for_each(Comfy::release);
    servers.executed(jobs as u64)?;
    let stamps: Vec<Vec<Stamp>> = servers.comfy.iter().map(|server| server.state().stamps).collect();
    let ended = stamps.iter().flatten().map(|stamp| stamp.at).max().context("no job was executed")?;
    let rate = jobs as f64 / ended.saturating_duration_since(began).as_secs_f64();
    let gaps = stamps.iter().flat_map(|stamps| gaps(stamps));
    let (accepted, begun) = gaps.map(|gap| (gap.to_accepted, gap.to_begun)).unzip();
    Ok(Run { accepted, begun, rate, commit_mean_us: None })
}

/// What lay between the end of one job and the next one on the same server.
#[derive(Debug, PartialEq)]
struct Gap {
    to_accepted: Duration,
    to_begun: Duration,
}

fn gaps(stamps: &[Stamp]) -> Vec<Gap> {
    let of = |step| stamps.iter().filter(move |stamp| stamp.step == step);
    let ends = of(Step::Ended);
    ends.zip(of(Step::Began).skip(1))
        .filter_map(|(end, begun)| {
            let accepted = of(Step::Accepted).find(|stamp| stamp.prompt_id == begun.prompt_id)?;
            Some(Gap {
                to_accepted: accepted.at.saturating_duration_since(end.at),
                to_begun: begun.at.saturating_duration_since(end.at),
            })
        })
        .collect()
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![
            self.table("End of a job to the beginning of the next on the same server", |m| m.to_next_begun),
            self.table("End of a job to the acceptance of the next", |m| m.to_next_accepted),
            self.durable_write.table(),
        ]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn table(&self, title: &str, figure: impl Fn(&Measured) -> Rounds) -> Table {
        let title = format!(
            "{title}: median of {} rounds of {} jobs of {} ms a backend (least–greatest)",
            self.rounds, self.jobs_a_backend, self.job_ms
        );
        let head =
            ["generation, queue", "backends", "p50", "p99", "max", "p50/write", "jobs/s", "mean commit"];
        let mut table = Table::new(title, &head);
        let write = self.durable_write.overwritten.p50_us.median;
        for measured in &self.queues {
            let rounds = figure(measured);
            let name = format!("{}, {}", measured.generation, measured.queue);
            let commit = measured.commit_mean_us.map_or_else(|| "–".to_owned(), |commit| time(commit.median));
            let rest = [
                shown_times(times(rounds.p50_us.median, write)),
                measured.rate.shown(|rate| format!("{rate:.0}")),
                commit,
            ];
            table.row([name, measured.backends.to_string()].into_iter().chain(rounds.cells()).chain(rest));
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_lies_between_the_end_of_one_job_and_the_next_on_its_server() {
        let zero = Instant::now();
        let stamp = |prompt_id: &str, step, millis| Stamp {
            prompt_id: prompt_id.to_owned(),
            step,
            at: zero + Duration::from_millis(millis),
        };
        let stamps = [
            stamp("a", Step::Accepted, 0),
            stamp("a", Step::Began, 1),
            stamp("a", Step::Ended, 10),
            stamp("b", Step::Accepted, 14),
            stamp("b", Step::Began, 15),
            stamp("c", Step::Accepted, 16),
            stamp("b", Step::Ended, 20),
            stamp("c", Step::Began, 21),
        ];
        let gap = |accepted, begun| Gap {
            to_accepted: Duration::from_millis(accepted),
            to_begun: Duration::from_millis(begun),
        };
        assert_eq!(gaps(&stamps), [gap(4, 5), gap(0, 1)]);
    }
}
