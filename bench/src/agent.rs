//! `bench agent`: memory, CPU time, scrape latency and load of the agent, with its peers started beside it and measured
//! by the same client in the same run.

mod goals;
mod hang;
mod subject;
mod tables;

use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;

use crate::figures::Rounds;
use crate::goal::Goal;
use crate::load::{Limit, Load, Loaded, Window};
use crate::process::binary;
use crate::usage::{self, Memory};
use hang::Hang;
use subject::{Nvml, Role, Subject};

const ROUNDS: usize = 5;

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
    /// How long each page is loaded in each of five rounds
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..))]
    load_seconds: u64,
    /// Keep-alive connections of the load, each with one request on its way
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=256))]
    connections: u16,
    /// Prometheus' node_exporter, measured where it is installed
    #[arg(long, value_name = "FILE", default_value = "/usr/bin/prometheus-node-exporter")]
    node_exporter: PathBuf,
    /// A Python that has psutil, aiohttp and nvidia-ml-py: measures the Python node that the agent replaces
    #[arg(long, value_name = "FILE")]
    python: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    seconds: u64,
    interval_seconds: u64,
    load_seconds: u64,
    connections: u16,
    binary_bytes: u64,
    programs: Vec<Measured>,
    /// The agent with GPUs, while their driver hangs.
    hang: Hang,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Measured {
    name: String,
    role: Role,
    /// GPUs that the simulated library showed it; 0: it was not given that library.
    gpus: usize,
    memory: Memory,
    /// Seconds on a CPU in an hour of such scrapes.
    cpu_seconds_an_hour: f64,
    /// The same as a share of one core's time.
    cpu_share_of_a_core: f64,
    pages: Vec<Page>,
}

#[derive(Debug, Serialize)]
struct Page {
    path: &'static str,
    bytes: usize,
    latency: Rounds,
    load: Loaded,
}

impl Measured {
    fn page(&self, path: &str) -> Option<&Page> {
        self.pages.iter().find(|page| page.path == path)
    }
}

impl Outcome {
    /// The agent beside which a program is measured: the one with as many GPUs.
    fn agent_of(&self, program: &Measured) -> Option<&Measured> {
        self.programs.iter().find(|agent| agent.role == Role::Agent && agent.gpus == program.gpus)
    }
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let mut notes = Vec::new();
    let nvml = Nvml::install()?;
    let mut subjects = subjects(options, &nvml, &mut notes)?;
    let usage = use_over_time(&mut subjects, options)?;
    let pages = pages(&mut subjects, options)?;
    let hang = hang::measure(&nvml, options.requests)?;
    let figures = subjects.iter().zip(usage).zip(pages);
    let programs: Vec<Measured> =
        figures.map(|((subject, usage), pages)| measured(subject, usage, pages)).collect();
    notes.extend(doubts(&programs));
    let binary_bytes = binary("orchestrator-agent")?.metadata().context("look at the agent's file")?.len();
    Ok(Outcome {
        measurement: "agent",
        seconds: options.seconds,
        interval_seconds: options.interval,
        load_seconds: options.load_seconds,
        connections: options.connections,
        binary_bytes,
        goals: goals::goals(&programs, hang, binary_bytes),
        programs,
        hang,
        notes,
    })
}

fn measured(subject: &Subject, (memory, cpu_share_of_a_core): (Memory, f64), pages: Vec<Page>) -> Measured {
    Measured {
        name: subject.name(),
        role: subject.role,
        gpus: subject.gpus,
        memory,
        cpu_seconds_an_hour: cpu_share_of_a_core * 3600.0,
        cpu_share_of_a_core,
        pages,
    }
}

fn subjects(options: &Options, nvml: &Nvml, notes: &mut Vec<String>) -> Result<Vec<Subject>> {
    let mut subjects = vec![Subject::agent(None)?, Subject::agent(Some(nvml))?];
    let exporter = &options.node_exporter;
    if exporter.is_file() {
        subjects.push(Subject::node_exporter(exporter)?);
    } else {
        notes.push(format!("node_exporter skipped: there is no {}", exporter.display()));
    }
    match &options.python {
        Some(python) => {
            subjects.push(Subject::python_node(python, None)?);
            subjects.push(Subject::python_node(python, Some(nvml))?);
        }
        None => notes.push("the Python node skipped: no --python was given".to_owned()),
    }
    Ok(subjects)
}

/// Scrapes all at the interval. Memory at the end, and the share of a core's time.
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
    let share = used.map(|used| used.as_secs_f64() / elapsed.as_secs_f64());
    let memory = subjects.iter().map(|subject| usage::memory(subject.program.pid()));
    memory.zip(share).map(|(memory, cpu)| Ok((memory?, cpu))).collect()
}

fn cpu_of(subjects: &[Subject]) -> Result<Vec<Duration>> {
    subjects.iter().map(|subject| usage::cpu(subject.program.pid())).collect()
}

/// What is measured page by page: latency, then load.
fn pages(subjects: &mut [Subject], options: &Options) -> Result<Vec<Vec<Page>>> {
    let requests = options.requests;
    let latencies = rounds(subjects, |subject, path| {
        (0..requests).map(|_| Ok(subject.get(path)?.took)).collect::<Result<Vec<Duration>>>()
    })?;
    let windows = rounds(subjects, |subject, path| load(subject, path, options))?;
    let found = subjects.iter_mut().zip(latencies.into_iter().zip(windows));
    found.map(|(subject, (latencies, windows))| described(subject, latencies, windows)).collect()
}

/// What `measure` finds in each round, a list for each page of each subject. The programs in turn, so that what
/// disturbs the machine disturbs all.
fn rounds<T>(
    subjects: &mut [Subject],
    mut measure: impl FnMut(&mut Subject, &'static str) -> Result<T>,
) -> Result<Vec<Vec<Vec<T>>>> {
    let mut found: Vec<Vec<Vec<T>>> =
        subjects.iter().map(|subject| subject.pages.iter().map(|_| Vec::new()).collect()).collect();
    for _ in 0..ROUNDS {
        for (subject, pages) in subjects.iter_mut().zip(&mut found) {
            for (path, rounds) in subject.pages.iter().zip(pages) {
                rounds.push(measure(subject, path)?);
            }
        }
    }
    Ok(found)
}

fn load(subject: &Subject, path: &str, options: &Options) -> Result<Window> {
    let program = &subject.program;
    let load = Load::open(program.address, path, options.connections.into())?;
    let window = load.window(program.pid(), Duration::from_secs(options.load_seconds));
    window.with_context(|| format!("load {path} of {}", subject.name()))
}

fn described(
    subject: &mut Subject,
    latencies: Vec<Vec<Vec<Duration>>>,
    windows: Vec<Vec<Window>>,
) -> Result<Vec<Page>> {
    let pages = subject.pages.iter().copied().zip(latencies.into_iter().zip(windows));
    let pages = pages.map(|(path, (latencies, windows))| {
        let bytes = subject.get(path)?.body.len();
        let latency = Rounds::of(latencies).context("--requests must be at least 1")?;
        let load = Loaded::of(&windows).with_context(|| format!("{path} was not answered under load"))?;
        Ok(Page { path, bytes, latency, load })
    });
    pages.collect()
}

/// What a reader has to know of rates that the server alone did not limit.
fn doubts(programs: &[Measured]) -> impl Iterator<Item = String> {
    programs.iter().flat_map(|program| program.pages.iter().filter_map(|page| doubt(program, page)))
}

fn doubt(program: &Measured, page: &Page) -> Option<String> {
    let load = &page.load;
    let disturbed = load.server.is_disturbed() || load.client.is_disturbed();
    let why = match (disturbed, load.limit) {
        (true, _) => "other work on the machine kept it or the client waiting for a core",
        (false, Limit::Server) => return None,
        (false, _) => "the server alone was not the limit",
    };
    Some(format!("{} {}: {why}, so its rate is a lower bound", program.name, page.path))
}
