//! `bench day`: whether a day of load leaves anything behind. The whole collector in front of simulated servers that fail now
//! and then, so many times quicker than the clock; three tenants submit, upload, cancel, look and listen. Every few minutes
//! is read what the process, its database and its directory hold, and the day's last quarter is put beside its second.

mod clients;
mod listeners;
mod quarters;
mod reading;
mod tenants;
mod trouble;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use clap::Args;
use serde::Serialize;

use self::clients::Clients;
use self::quarters::Figure;
use self::reading::Reader;
use self::tenants::Tenants;
use crate::fleet::jobs;
use crate::goal::{self, Bound, Goal, Unit};
use crate::output::{Findings, Table};
use crate::routing::{Profile, Scenario, Variant, Workload};
use crate::stage::{Collector, Disk, Servers};

const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// Between two readings, in seconds of the day.
const READ_EVERY: f64 = 300.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How long the day is
    #[arg(long, default_value_t = 24.0, value_parser = |text: &str| within(text, 0.5, 240.0))]
    hours: f64,
    /// How many times quicker than the clock
    #[arg(long, default_value_t = 100.0, value_parser = |text: &str| within(text, 1.0, 200.0))]
    speed: f64,
    /// How many backends there are
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    backends: u16,
    /// Run time that arrives a second, beside what the backends can run; loads of models come on top, and what a short sleep
    /// takes longer than asked for
    #[arg(long, default_value_t = 0.35, value_parser = |text: &str| within(text, 0.05, 1.0))]
    load: f64,
    /// Ended jobs that are remembered: fewer than a quarter of the day has
    #[arg(long, default_value_t = 2000)]
    history: u64,
    /// Where the collector keeps its state meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

fn within(text: &str, least: f64, most: f64) -> Result<f64, String> {
    let number = text.parse().ok().filter(|number| (least..=most).contains(number));
    number.ok_or_else(|| format!("a number from {least} to {most}"))
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    hours: f64,
    speed: f64,
    backends: u16,
    load: f64,
    history: u64,
    disk: Disk,
    did: Did,
    readings: usize,
    figures: Vec<Figure>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

/// What happened that day.
#[derive(Debug, Serialize)]
struct Did {
    accepted: u64,
    /// By how they ended.
    ended: BTreeMap<String, f64>,
    uploads: u64,
    looks: u64,
    sockets: u64,
    restarts: u64,
    /// The share of the servers that ran something, over all readings.
    at_work: f64,
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let disk = Disk::at(options.state.as_deref())?;
    let workload = workload(options);
    let servers = Servers::of(jobs::machines(&workload, options.speed))?;
    let state = disk.folder()?;
    let tenants = Tenants::make(state.path())?;
    let keys = format!(
        "token_file = {:?}\nhistory_jobs = {}\nroute_tempo = {:.1}\nroute_overdue_after = \"{}ms\"\n",
        tenants.file.display().to_string(),
        options.history,
        options.speed,
        (300_000.0 / options.speed) as u64
    );
    let collector = Collector::guarded(&servers, state, &keys, tenants.tokens.first().map(String::as_str))?;
    let (over, sockets) = (AtomicBool::new(false), AtomicU64::new(0));
    let clients = Clients::new(&collector, &tenants, &workload, options.speed);
    let mut reader = Reader::open(&collector, &servers)?;
    let begun = Instant::now();
    let restarts = thread::scope(|scope| {
        let posting = clients.start(scope, begun);
        let trouble =
            scope.spawn(|| trouble::make(&servers, &workload.failures, options.speed, begun, &over));
        let listening = scope.spawn(|| listeners::come_and_go(&collector, &tenants, &over, &sockets));
        let read = read_all(&mut reader, options, begun).and_then(|()| {
            posting
                .into_iter()
                .try_for_each(|client| client.join().map_err(|_| anyhow!("a client was lost"))?)
        });
        over.store(true, Ordering::Relaxed);
        let restarts = trouble.join().map_err(|_| anyhow!("trouble was lost"))?;
        listening.join().map_err(|_| anyhow!("the listeners were lost"))??;
        read.and(restarts)
    })?;
    let accepted = clients.accepted();
    let ended = all_ended(&collector, accepted)?;
    let (readings, at_work) = (reader.count(), reader.at_work());
    let did = Did {
        accepted,
        uploads: clients.uploads(),
        looks: clients.looks(),
        sockets: sockets.load(Ordering::Relaxed),
        restarts,
        at_work,
        ended,
    };
    let figures = reader.figures().context("the day is too short for four quarters")?;
    Ok(Outcome {
        measurement: "day",
        hours: options.hours,
        speed: options.speed,
        backends: options.backends,
        load: options.load,
        history: options.history,
        goals: goals(&did, &figures),
        notes: std::iter::once(disk.line()).chain(disk.warning()).collect(),
        disk,
        did,
        readings,
        figures,
    })
}

/// As `bench routing` draws them, for as long as the day is.
fn workload(options: &Options) -> Workload {
    let seconds = options.hours * 3600.0;
    // More than come: no job is shorter than a second.
    let jobs = (seconds * f64::from(options.backends) * options.load) as usize;
    let backends = options.backends.into();
    let variant = Variant { jobs, backends, load: Some(options.load), ..Variant::default() };
    let mut workload = Workload::new(Scenario::Churn, Profile::Nvme, &variant, 1);
    workload.jobs.retain(|job| job.arrival < seconds);
    workload.failures.retain(|failure| failure.until < seconds);
    workload.jobs.iter_mut().for_each(|job| job.models.truncate(1));
    workload
}

fn read_all(reader: &mut Reader<'_>, options: &Options, begun: Instant) -> Result<()> {
    let mut at = READ_EVERY;
    while at < options.hours * 3600.0 {
        let due = begun + Duration::from_secs_f64(at / options.speed);
        thread::sleep(due.saturating_duration_since(Instant::now()));
        reader.read()?;
        at += READ_EVERY;
    }
    Ok(())
}

/// How many ended in which way, once all have.
fn all_ended(collector: &Collector, accepted: u64) -> Result<BTreeMap<String, f64>> {
    let began = Instant::now();
    loop {
        let ended = ended(&collector.metrics()?);
        if ended.values().sum::<f64>() >= accepted as f64 {
            return Ok(ended);
        }
        if began.elapsed() > PATIENCE {
            bail!("of {accepted} jobs only these ended: {ended:?}");
        }
        thread::sleep(LOOK_EVERY);
    }
}

fn ended(metrics: &str) -> BTreeMap<String, f64> {
    let lines = metrics.lines().filter_map(|line| {
        let rest = line.strip_prefix("orchestrator_collector_jobs_ended_total{outcome=\"")?;
        let (outcome, count) = rest.split_once("\"} ")?;
        Some((outcome.to_owned(), count.parse().ok()?))
    });
    lines.collect()
}

fn goals(did: &Did, figures: &[Figure]) -> Vec<Goal> {
    let lost = did.accepted as f64 - did.ended.values().sum::<f64>();
    let unbounded = figures.iter().filter(|figure| !figure.is_bounded).count() as f64;
    let none = |goal: &str, count| Goal::new(goal.to_owned(), Unit::Count, Bound::AtMost(0.0), Some(count));
    vec![none("accepted jobs that did not end once", lost.abs()), none("figures that grew", unbounded)]
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        vec![self.did.table(self), quarters::table(&self.figures, self.readings), goal::table(&self.goals)]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}

impl Did {
    fn table(&self, outcome: &Outcome) -> Table {
        let title = format!(
            "{} hours at {} times the speed, {} backends, {} ended jobs remembered",
            outcome.hours, outcome.speed, outcome.backends, outcome.history
        );
        let mut table = Table::new(title, &["what happened", ""]);
        let counts = [
            ("jobs accepted", self.accepted),
            ("files uploaded", self.uploads),
            ("looks at what came of a job", self.looks),
            ("sockets that came and went", self.sockets),
            ("restarts of backends", self.restarts),
        ];
        for (what, count) in counts {
            table.row([what.to_owned(), count.to_string()]);
        }
        for (outcome, count) in &self.ended {
            table.row([format!("jobs {outcome}"), count.to_string()]);
        }
        table.row(["backends at work".to_owned(), format!("{:.0} %", self.at_work * 100.0)]);
        table
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_are_read_by_their_outcome() {
        let metrics = "# TYPE orchestrator_collector_jobs_ended_total counter\n\
                       orchestrator_collector_jobs_ended_total{outcome=\"failed\"} 3\n\
                       orchestrator_collector_jobs_ended_total{outcome=\"succeeded\"} 40\n";
        let expected = BTreeMap::from([("failed".to_owned(), 3.0), ("succeeded".to_owned(), 40.0)]);
        assert_eq!(ended(metrics), expected);
    }
}
