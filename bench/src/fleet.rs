//! `bench fleet`: routing over HTTP. Jobs of `bench routing`, so many times quicker, on simulated ComfyUI servers that load models
//! and run them; given out by the whole collector, or by another policy that posts to the same servers as one sees that a
//! server is free. Latencies are read off the servers.

mod desk;
mod gateway;
pub(crate) mod jobs;

use std::collections::HashMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, bail};
use clap::Args;
use serde::Serialize;
use sim::{Comfy, Step};

use crate::output::{Findings, Table};
use crate::routing::{Cell, Course, Name, Profile, Runs, Scenario, Seeds, Workload, run};
use crate::stage::{Disk, Servers};

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// What load there is: one whose backends are alike and do not fail
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["steady", "noisy"])]
    scenario: Vec<Scenario>,
    /// What a load takes
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["nas"])]
    profile: Vec<Profile>,
    /// Who gives jobs out: `ours` is the whole collector
    #[arg(long, value_enum, value_delimiter = ',', default_values = ["ours", "swarmui", "least-queue"])]
    policy: Vec<Name>,
    /// How many backends there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    backends: u16,
    /// Seeds, from the first up to the second, which is left out
    #[arg(long, default_value = "100..103", value_name = "A..B")]
    seeds: Seeds,
    /// Jobs a seed
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u16).range(1..=2000))]
    jobs: u16,
    /// How many times quicker everything happens than in the figures that are told
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=200))]
    speed: u16,
    /// Where the collector keeps its queue meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    backends: u16,
    jobs: u16,
    seeds: (u64, u64),
    speed: u16,
    cells: Vec<Trial>,
    notes: Vec<String>,
}

/// One policy in one scenario, over all seeds.
#[derive(Debug, Serialize)]
struct Trial {
    scenario: String,
    profile: String,
    policy: String,
    over_http: Figures,
    /// What `bench routing` makes of the same jobs, where nothing but loads and runs takes time.
    simulated: Figures,
}

#[derive(Debug, Serialize)]
struct Figures {
    mean_seconds: f64,
    p50_seconds: f64,
    p99_seconds: f64,
    others_p99_seconds: f64,
    /// A seed's mean, from disk and from main memory.
    loads: f64,
}

impl From<Cell> for Figures {
    fn from(cell: Cell) -> Self {
        Self {
            mean_seconds: cell.mean_seconds,
            p50_seconds: cell.p50_seconds,
            p99_seconds: cell.p99_seconds,
            others_p99_seconds: cell.others_p99_seconds,
            loads: cell.disk_loads + cell.ram_loads,
        }
    }
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    if let Some(scenario) =
        options.scenario.iter().find(|scenario| [Scenario::Video, Scenario::Churn].contains(scenario))
    {
        bail!("{} has backends that differ or fail: only `bench routing` simulates that", scenario.name());
    }
    let disk = Disk::at(options.state.as_deref())?;
    let mut cells = Vec::new();
    for scenario in &options.scenario {
        for profile in &options.profile {
            for policy in &options.policy {
                cells.push(trial(options, *scenario, *profile, *policy, &disk)?);
            }
        }
    }
    Ok(Outcome {
        measurement: "fleet",
        backends: options.backends,
        jobs: options.jobs,
        seeds: (options.seeds.0.start, options.seeds.0.end),
        speed: options.speed,
        cells,
        notes: std::iter::once(disk.line()).chain(disk.warning()).collect(),
    })
}

fn trial(
    options: &Options,
    scenario: Scenario,
    profile: Profile,
    policy: Name,
    disk: &Disk,
) -> Result<Trial> {
    let (mut over_http, mut simulated) = (Runs::default(), Runs::default());
    let speed = f64::from(options.speed);
    for seed in options.seeds.0.clone() {
        let workload = jobs::workload(scenario, profile, options.backends, options.jobs, seed);
        let course = run(&workload, policy.policy(&workload, seed).as_mut());
        simulated.add(&workload, &course, 0.0);
        let servers = Servers::of(jobs::machines(&workload, speed))?;
        let given = match policy {
            Name::Ours => gateway::give(&servers, &workload, speed, disk)?,
            _ => desk::give(&servers, &workload, speed, policy.policy(&workload, seed))?,
        };
        let course = given.course(&servers, &workload, speed)?;
        over_http.add(&workload, &course, 0.0);
        eprintln!(
            "{} {} {}, seed {seed}: {:.0} s",
            scenario.name(),
            profile.name(),
            policy.name(),
            course.end
        );
    }
    let cell = |runs: Runs| {
        Figures::from(runs.cell(scenario.name(), profile.name(), policy.name(), options.backends.into()))
    };
    Ok(Trial {
        scenario: scenario.name(),
        profile: profile.name(),
        policy: policy.name(),
        over_http: cell(over_http),
        simulated: cell(simulated),
    })
}

/// All jobs, given out: which job is which prompt of the servers', and when the first of them could come.
struct Given {
    begun: Instant,
    jobs: HashMap<String, usize>,
}

impl Given {
    /// What became of the jobs, by the servers' own stamps.
    fn course(&self, servers: &Servers, workload: &Workload, speed: f64) -> Result<Course> {
        let stamps = servers.comfy.iter().flat_map(|server| server.state().stamps);
        let since = |at: Instant| at.saturating_duration_since(self.begun).as_secs_f64() * speed;
        let mut latencies = vec![None; workload.jobs.len()];
        let (mut began, mut course) = (HashMap::new(), Course::default());
        for stamp in stamps {
            let at = since(stamp.at);
            let number = self.jobs.get(&stamp.prompt_id).context("a server ran what nobody had posted")?;
            match stamp.step {
                Step::Accepted => {}
                Step::Began => drop(began.insert(*number, at)),
                Step::Ended => {
                    let job = workload.jobs.get(*number).context("there is no such job")?;
                    let ran = at - began.get(number).copied().unwrap_or(at);
                    course.run_seconds += job.run_seconds;
                    course.load_seconds += (ran - job.run_seconds).max(0.0);
                    course.end = course.end.max(at);
                    if let Some(latency) = latencies.get_mut(*number) {
                        *latency = Some(at - job.arrival);
                    }
                }
            }
        }
        course.disk_loads = servers.comfy.iter().map(|server| server.counters().all_loads()).sum();
        course.latencies = latencies.into_iter().collect::<Option<_>>().context("a job was never run")?;
        Ok(course)
    }
}

/// How many prompts each server has run to their ends.
fn executed(servers: &[Comfy]) -> Vec<u64> {
    servers.iter().map(|server| server.counters().executed).collect()
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        let (from, to) = self.seeds;
        let title = format!(
            "Latency in seconds over HTTP, {} jobs on {} backends at {} times the speed, seeds {from}..{to}; in brackets what \
             is simulated without",
            self.jobs, self.backends, self.speed
        );
        let head = [
            "scenario",
            "profile",
            "policy",
            "mean",
            "p50",
            "p99",
            "others' p99",
            "loads",
            "mean of SwarmUI's",
        ];
        let mut table = Table::new(title, &head);
        for cell in &self.cells {
            let named = [&cell.scenario, &cell.profile, &cell.policy].map(Clone::clone).into_iter();
            let both = |figure: fn(&Figures) -> f64| {
                format!("{:.1} ({:.1})", figure(&cell.over_http), figure(&cell.simulated))
            };
            let figures = [
                both(|figures| figures.mean_seconds),
                both(|figures| figures.p50_seconds),
                both(|figures| figures.p99_seconds),
                both(|figures| figures.others_p99_seconds),
                both(|figures| figures.loads),
                self.beside_swarmui(cell).unwrap_or_default(),
            ];
            table.row(named.chain(figures));
        }
        vec![table]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Outcome {
    fn beside_swarmui(&self, cell: &Trial) -> Option<String> {
        let like = |other: &&Trial| {
            other.policy == Name::Swarmui.name()
                && (&other.scenario, &other.profile) == (&cell.scenario, &cell.profile)
        };
        let swarmui = self.cells.iter().find(like)?;
        let ratio =
            |figures: fn(&Trial) -> &Figures| figures(cell).mean_seconds / figures(swarmui).mean_seconds;
        Some(format!("{:.2} ({:.2})", ratio(|trial| &trial.over_http), ratio(|trial| &trial.simulated)))
    }
}
