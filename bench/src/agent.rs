//! `bench agent`: memory, CPU time and scrape latency of the agent, with its peers started beside it, scraped in the
//! same window by the same client.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::client::Connection;
use crate::figures::{Rounds, mebibytes, shown_times, time, times};
use crate::output::{Findings, Table};
use crate::process::{Program, binary, free_address};
use crate::usage::{self, Memory};

const ROUNDS: usize = 5;
const PYTHON_NODE: &str = include_str!("../python_node.py");

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long memory and CPU time are measured
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    seconds: u64,
    /// Time between two scrapes meanwhile
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    interval: u64,
    /// Requests of each page in each of five rounds, for the latency
    #[arg(long, default_value_t = 200)]
    requests: usize,
    /// Prometheus' node_exporter, measured where it is installed
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/prometheus-node-exporter")]
    node_exporter: PathBuf,
    /// A Python that has psutil and aiohttp: measures the Python node that the agent replaces
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    seconds: u64,
    interval_seconds: u64,
    programs: Vec<Measured>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    name: &'static str,
    memory: Memory,
    /// Seconds on a CPU in an hour of such scrapes.
    cpu_seconds_an_hour: f64,
    pages: Vec<Page>,
}

#[derive(Debug, Serialize)]
struct Page {
    path: &'static str,
    bytes: usize,
    latency: Rounds,
}

/// A program under measurement, with the one connection over which it is scraped.
struct Subject {
    name: &'static str,
    pages: &'static [&'static str],
    program: Program,
    connection: Connection,
}

impl Subject {
    fn start(
        name: &'static str,
        pages: &'static [&'static str],
        command: impl Fn(SocketAddr) -> Command,
    ) -> Result<Self> {
        let address = free_address()?;
        let program = Program::start(command(address), address, pages.first().copied().unwrap_or("/"))?;
        let connection = Connection::open(address)?;
        Ok(Self { name, pages, program, connection })
    }

    fn scrape(&mut self) -> Result<()> {
        for page in self.pages {
            self.get(page)?;
        }
        Ok(())
    }

    /// A server may close a connection on which nothing came for a while: then a new one, as Prometheus does it.
    fn get(&mut self, page: &str) -> Result<crate::client::Answer> {
        match self.connection.get(page) {
            Ok(answer) => answer.ok(),
            Err(_) => {
                self.connection = Connection::open(self.program.address)?;
                self.connection.get(page)?.ok()
            }
        }
    }
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let mut notes = Vec::new();
    let mut subjects = subjects(options, &mut notes)?;
    let usage = use_over_time(&mut subjects, options)?;
    let pages = latencies(&mut subjects, options.requests)?;
    let figures = subjects.iter().zip(usage).zip(pages);
    let programs = figures.map(|((subject, (memory, cpu_seconds_an_hour)), pages)| Measured {
        name: subject.name,
        memory,
        cpu_seconds_an_hour,
        pages,
    });
    Ok(Outcome {
        measurement: "agent",
        seconds: options.seconds,
        interval_seconds: options.interval,
        programs: programs.collect(),
        notes,
    })
}

fn subjects(options: &Options, notes: &mut Vec<String>) -> Result<Vec<Subject>> {
    let agent = binary("orchestrator-agent")?;
    let mut subjects =
        vec![Subject::start("orchestrator-agent", &["/orchestrator/metrics", "/metrics"], |address| {
            let mut command = Command::new(&agent);
            command.arg("--listen").arg(address.to_string());
            command
        })?];
    let exporter = &options.node_exporter;
    if exporter.is_file() {
        subjects.push(Subject::start("node_exporter", &["/metrics"], |address| {
            let mut command = Command::new(exporter);
            command.arg(format!("--web.listen-address={address}"));
            command
        })?);
    } else {
        notes.push(format!("node_exporter skipped: there is no {}", exporter.display()));
    }
    match &options.python {
        Some(python) => subjects.push(python_node(python)?),
        None => notes.push("the Python node skipped: no --python was given".to_owned()),
    }
    Ok(subjects)
}

fn python_node(python: &Path) -> Result<Subject> {
    let started = Subject::start("Python node", &["/orchestrator/metrics"], |address| {
        let mut command = Command::new(python);
        command.args(["-c", PYTHON_NODE]).arg(address.port().to_string());
        command
    });
    started.context("it needs psutil and aiohttp: python -m venv DIR; DIR/bin/pip install psutil aiohttp")
}

/// Scrapes all at the interval. Memory at the end, and CPU seconds an hour.
fn use_over_time(subjects: &mut [Subject], options: &Options) -> Result<Vec<(Memory, f64)>> {
    // The first scrape pays for what is made once.
    subjects.iter_mut().try_for_each(Subject::scrape)?;
    let before = cpu_of(subjects)?;
    let began = Instant::now();
    let mut next = began;
    let end = began + Duration::from_secs(options.seconds);
    while next < end {
        thread::sleep(next.saturating_duration_since(Instant::now()));
        subjects.iter_mut().try_for_each(Subject::scrape)?;
        next += Duration::from_secs(options.interval);
    }
    thread::sleep(end.saturating_duration_since(Instant::now()));
    let (elapsed, after) = (began.elapsed(), cpu_of(subjects)?);
    let used = before.into_iter().zip(after).map(|(before, after)| after.saturating_sub(before));
    let an_hour = used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64() * 3600.0);
    let memory = subjects.iter().map(|subject| usage::memory(subject.program.pid()));
    memory.zip(an_hour).map(|(memory, cpu)| Ok((memory?, cpu))).collect()
}

fn cpu_of(subjects: &[Subject]) -> Result<Vec<Duration>> {
    subjects.iter().map(|subject| usage::cpu(subject.program.pid())).collect()
}

/// Rounds of requests back to back, the programs in turn, so that what disturbs the machine disturbs all.
fn latencies(subjects: &mut [Subject], requests: usize) -> Result<Vec<Vec<Page>>> {
    let mut rounds: Vec<Vec<Vec<Vec<Duration>>>> =
        subjects.iter().map(|subject| vec![Vec::new(); subject.pages.len()]).collect();
    for _ in 0..ROUNDS {
        for (subject, pages) in subjects.iter_mut().zip(&mut rounds) {
            for (path, samples) in subject.pages.iter().zip(pages) {
                let took = (0..requests).map(|_| Ok(subject.get(path)?.took)).collect::<Result<_>>()?;
                samples.push(took);
            }
        }
    }
    let described = subjects.iter_mut().zip(rounds).map(|(subject, pages)| described(subject, pages));
    described.collect()
}

fn described(subject: &mut Subject, rounds: Vec<Vec<Vec<Duration>>>) -> Result<Vec<Page>> {
    let pages = subject.pages.iter().copied().zip(rounds).map(|(path, rounds)| {
        let bytes = subject.get(path)?.body.len();
        let latency = Rounds::of(rounds).context("--requests must be at least 1")?;
        Ok(Page { path, bytes, latency })
    });
    pages.collect()
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![self.usage_table(), self.latency_table()]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn usage_table(&self) -> Table {
        let title = format!(
            "Memory, and CPU time of an hour (measured over {} s, each page scraped every {} s)",
            self.seconds, self.interval_seconds
        );
        let head = ["program", "RSS", "anonymous", "PSS", "PSS/agent", "CPU s/h", "CPU/agent"];
        let mut table = Table::new(title, &head);
        let Some(agent) = self.programs.first() else { return table };
        let pss = |measured: &Measured| measured.memory.proportional_bytes as f64;
        for program in &self.programs {
            let memory = program.memory;
            let bytes = [memory.rss_bytes, memory.anonymous_bytes, memory.proportional_bytes].map(mebibytes);
            let [rss, anonymous, proportional] = bytes;
            table.row([
                program.name.to_owned(),
                rss,
                anonymous,
                proportional,
                shown_times(times(pss(program), pss(agent))),
                format!("{:.2}", program.cpu_seconds_an_hour),
                shown_times(times(program.cpu_seconds_an_hour, agent.cpu_seconds_an_hour)),
            ]);
        }
        table
    }

    fn latency_table(&self) -> Table {
        let title = format!("Latency of a scrape: median of {ROUNDS} rounds (least–greatest)");
        let mut table = Table::new(title, &["program, page", "bytes", "p50", "p99", "max", "p50/agent"]);
        let first = self.programs.first();
        for program in &self.programs {
            for page in &program.pages {
                let same = first.and_then(|agent| agent.pages.iter().find(|own| own.path == page.path));
                let of_agent =
                    same.and_then(|own| times(page.latency.p50_us.median, own.latency.p50_us.median));
                let name = format!("{} {}", program.name, page.path);
                let cells = [name, page.bytes.to_string()];
                let latency = page.latency;
                let spreads = [latency.p50_us, latency.p99_us, latency.max_us].map(|us| us.shown(time));
                table.row(cells.into_iter().chain(spreads).chain([shown_times(of_agent)]));
            }
        }
        table
    }
}
