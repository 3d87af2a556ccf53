//! `bench gateway`: what clients pay for coming through the collector instead of going to a ComfyUI directly, beside what
//! they pay for coming through nginx: prompts, pictures, and frames to a thousand sockets.

mod crowd;
mod frames;
mod nginx;
mod pictures;
mod posts;
mod site;
mod tables;

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use serde::Serialize;
use sim::Generation;

use self::posts::Posts;
use self::site::{Site, Way};
use crate::disk::{DurableWrite, Probe};
use crate::figures::{Rounds, Spread};
use crate::goal::{Bound, Goal, Unit};
use crate::stage::Disk;
use crate::submit::Run;

const STEADY_P99_US: f64 = 10_000.0;
const SUBMISSIONS_A_SECOND: f64 = 3_000.0;
const PICTURES_BESIDE_NGINX: f64 = 0.8;
const FRAMES_A_SECOND: f64 = 50_000.0;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Submissions over one connection in each round; over many, four times as many
    #[arg(long, default_value_t = 1000)]
    jobs: usize,
    /// How long pictures are fetched in each round
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    picture_seconds: u64,
    /// Simulated servers whose jobs tell their clients of every step, a thousand times a second each
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=500))]
    servers: u16,
    /// Rounds, each with a collector and a database of its own
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// nginx's program
    #[arg(long, value_name = "FILE", default_value = "/usr/sbin/nginx")]
    nginx: PathBuf,
    /// Where the collector keeps its queue meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    jobs: usize,
    picture_seconds: u64,
    servers: u16,
    rounds: usize,
    disk: Disk,
    ways: Vec<Measured>,
    durable_write: DurableWrite,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

/// One way over all rounds.
#[derive(Debug, Serialize)]
struct Measured {
    way: Way,
    one: Submission,
    many: Submission,
    steady: Submission,
    pictures: Flowing,
    frames_to_all: Flowing,
    frames_of_own_jobs: Flowing,
}

#[derive(Debug, Serialize)]
struct Submission {
    latency: Rounds,
    /// Submissions a second.
    rate: Spread,
    /// The way's percentile less that of the direct one, round by round.
    added_p50_us: Spread,
    added_p99_us: Spread,
}

#[derive(Debug, Serialize)]
struct Flowing {
    a_second: Spread,
    /// Beside nginx, round by round.
    beside_nginx: Spread,
    /// What each took of the processes between; absent where there are none.
    cpu_us_each: Option<Spread>,
    bytes_each: f64,
    /// The share of what was told that came; absent where all is waited for.
    arrived: Option<Spread>,
}

/// So many pictures or frames a second.
#[derive(Clone, Copy, Debug)]
struct Flow {
    a_second: f64,
    cpu_us: Option<f64>,
    /// Of each, on average.
    bytes: f64,
    arrived: Option<f64>,
}

/// What one round found on one way.
struct Trip {
    posts: Posts,
    pictures: Flow,
    to_all: Flow,
    own: Flow,
}

/// What one round found.
struct Round {
    direct: Trip,
    nginx: Trip,
    collector: Trip,
}

impl Round {
    fn trip(&self, way: Way) -> &Trip {
        match way {
            Way::Direct => &self.direct,
            Way::Nginx => &self.nginx,
            Way::Collector => &self.collector,
        }
    }
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    // A thousand sockets, and the simulated servers' ends of them.
    collector::lifecycle::file_descriptors();
    let disk = Disk::at(options.state.as_deref())?;
    let (mut rounds, mut probe) = (Vec::new(), Probe::default());
    for _ in 0..options.rounds {
        rounds.push(round(options, &disk)?);
        probe.round(&disk)?;
    }
    let few = "--rounds and --jobs must be at least 1";
    let ways =
        Way::ALL.into_iter().map(|way| measured(way, &rounds)).collect::<Option<Vec<_>>>().context(few)?;
    Ok(Outcome {
        measurement: "gateway",
        jobs: options.jobs,
        picture_seconds: options.picture_seconds,
        servers: options.servers,
        rounds: options.rounds,
        goals: ways.iter().filter(|measured| measured.way == Way::Collector).flat_map(goals).collect(),
        ways,
        durable_write: probe.found().context(few)?,
        notes: std::iter::once(disk.line()).chain(disk.warning()).collect(),
        disk,
    })
}

/// The ways in turn for each measurement, so that what disturbs the machine disturbs all.
fn round(options: &Options, disk: &Disk) -> Result<Round> {
    let length = Duration::from_secs(options.picture_seconds);
    let one = Site::start(1, Generation::V0_8, &options.nginx, disk)?;
    pictures::put(&one)?;
    let posts = each(|way| posts::measure(&one, way, options.jobs))?;
    let pictures = each(|way| pictures::measure(&one, way, length))?;
    let to_all = each(|way| frames::to_all(&one, way))?;
    drop(one);
    let fleet = Site::start(options.servers.into(), Generation::V2024, &options.nginx, disk)?;
    let own = each(|way| frames::of_own_jobs(&fleet, way))?;
    let trips = posts.into_iter().zip(pictures).zip(to_all).zip(own);
    let mut trips = trips.map(|(((posts, pictures), to_all), own)| Trip { posts, pictures, to_all, own });
    let mut next = || trips.next().context("a way was not measured");
    Ok(Round { direct: next()?, nginx: next()?, collector: next()? })
}

fn each<T>(measure: impl Fn(Way) -> Result<T>) -> Result<Vec<T>> {
    Way::ALL.into_iter().map(|way| measure(way).with_context(|| format!("the way {}", way.name()))).collect()
}

fn measured(way: Way, rounds: &[Round]) -> Option<Measured> {
    Some(Measured {
        way,
        one: submission(way, rounds, |posts| &posts.one)?,
        many: submission(way, rounds, |posts| &posts.many)?,
        steady: submission(way, rounds, |posts| &posts.steady)?,
        pictures: flowing(way, rounds, |trip| trip.pictures)?,
        frames_to_all: flowing(way, rounds, |trip| trip.to_all)?,
        frames_of_own_jobs: flowing(way, rounds, |trip| trip.own)?,
    })
}

fn submission(way: Way, rounds: &[Round], of: fn(&Posts) -> &Run) -> Option<Submission> {
    let runs = || rounds.iter().map(|round| of(&round.trip(way).posts));
    let added = |percentile: fn(&Run) -> Option<f64>| {
        let direct = rounds.iter().map(|round| of(&round.direct.posts));
        let differences =
            runs().zip(direct).map(|(run, direct)| Some(percentile(run)? - percentile(direct)?));
        Spread::of(differences.collect::<Option<Vec<f64>>>()?)
    };
    Some(Submission {
        latency: Rounds::of(runs().map(|run| run.took.clone()))?,
        rate: Spread::of(runs().map(|run| run.rate))?,
        added_p50_us: added(Run::p50_us)?,
        added_p99_us: added(Run::p99_us)?,
    })
}

fn flowing(way: Way, rounds: &[Round], of: fn(&Trip) -> Flow) -> Option<Flowing> {
    let flows = || rounds.iter().map(|round| of(round.trip(way)));
    let nginx = rounds.iter().map(|round| of(&round.nginx).a_second);
    Some(Flowing {
        a_second: Spread::of(flows().map(|flow| flow.a_second))?,
        beside_nginx: Spread::of(flows().zip(nginx).map(|(flow, nginx)| flow.a_second / nginx))?,
        cpu_us_each: Spread::of(flows().filter_map(|flow| flow.cpu_us)),
        bytes_each: Spread::of(flows().map(|flow| flow.bytes))?.median,
        arrived: Spread::of(flows().filter_map(|flow| flow.arrived)),
    })
}

/// What the collector promises.
fn goals(collector: &Measured) -> [Goal; 5] {
    let goal =
        |what: String, unit, bound, measured: Spread| Goal::new(what, unit, bound, Some(measured.median));
    let frames = |what: &str, flowing: &Flowing| {
        goal(what.to_owned(), Unit::FramesASecond, Bound::AtLeast(FRAMES_A_SECOND), flowing.a_second)
    };
    [
        goal(
            format!("POST /prompt, durable, {} a second: p99", posts::RATE),
            Unit::Microseconds,
            Bound::AtMost(STEADY_P99_US),
            collector.steady.latency.p99_us,
        ),
        goal(
            format!("POST /prompt, durable, {} connections", posts::CONNECTIONS),
            Unit::RequestsASecond,
            Bound::AtLeast(SUBMISSIONS_A_SECOND),
            collector.many.rate,
        ),
        goal(
            "/view: pictures a second beside nginx".to_owned(),
            Unit::Times,
            Bound::AtLeast(PICTURES_BESIDE_NGINX),
            collector.pictures.beside_nginx,
        ),
        frames("frames to all of 1000 sockets", &collector.frames_to_all),
        frames("frames of own jobs among 1000 sockets", &collector.frames_of_own_jobs),
    ]
}
