//! `bench restart`: what a collector with a long queue and a long history takes until it accepts jobs again, and what it
//! then holds in memory. The store is filled through the collector's own library; the program is killed and started again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use collector::clock::{Clock, UnixMillis};
use collector::limits::{CHANGES_A_COMMIT, LIVE_JOBS};
use collector::queue::{Postgres, Sqlite, Store, Write};
use serde::Serialize;
use serde_json::Value;
use sim::{Comfy, Generation};
use tokio::runtime::Runtime;

use crate::client::Connection;
use crate::cluster;
use crate::figures::{Spread, mebibytes, time};
use crate::goal::{self, Bound, Goal, MIB, Unit};
use crate::output::{Findings, Table};
use crate::process::Program;
use crate::prompt;
use crate::sample::{COURSE, Sample};
use crate::stage::{Disk, Servers, launch};
use crate::usage;

const SERVERS: usize = 8;
/// Over which the history is spread.
const HISTORY: Duration = Duration::from_hours(30 * 24);
/// How long a collector is left to work before its memory is read again: it looks for old jobs and foresees meanwhile.
const SETTLES: Duration = Duration::from_secs(10);
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// More than there will be, so that nothing is forgotten.
const KEYS: &str = "history_jobs = 10000000\nhistory_bytes = 1099511627776\n";
const PAGES: [&str; 3] =
    ["/history?max_items=64", "/api/jobs?limit=100", "/orchestrator/v1/jobs?state=succeeded&limit=100"];
const GOAL_SECONDS: f64 = 2.0;
const GOAL_BYTES: f64 = 300.0 * MIB;

#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Jobs that wait: a hundred fewer than may, so that there is room for those that are posted
    #[arg(long, default_value_t = LIVE_JOBS - 100)]
    waiting: usize,
    /// Jobs that have ended and are remembered
    #[arg(long, default_value_t = 1_000_000)]
    history: usize,
    /// How often the collector is killed and started again
    #[arg(long, default_value_t = 5)]
    rounds: usize,
    /// Where the databases are kept meanwhile [default: the directory for temporary files]
    #[arg(long, value_name = "DIRECTORY")]
    state: Option<PathBuf>,
    /// An empty directory for SQLite's database, which stays there; or one that was left there, which is used as it is, and
    /// alone
    #[arg(long, value_name = "DIRECTORY")]
    keep: Option<PathBuf>,
    /// An empty database of a PostgreSQL server, which stays there; or one that was left there, which is used as it is, and
    /// alone
    #[arg(long, value_name = "URL", conflicts_with = "keep")]
    database: Option<String>,
}

#[derive(Debug, Serialize)]
pub(crate) struct Outcome {
    measurement: &'static str,
    waiting: usize,
    history: usize,
    rounds: usize,
    disk: Disk,
    stores: Vec<Restarted>,
    goals: Vec<Goal>,
    notes: Vec<String>,
}

/// One kind of database.
#[derive(Debug, Serialize)]
struct Restarted {
    store: &'static str,
    filled_seconds: f64,
    /// From the start of the process to the first 200 of `/-/ready`, and of `POST /prompt`.
    ready_us: Spread,
    accepting_us: Spread,
    /// The most that was ever resident, when jobs are accepted and a while later.
    peak_accepting_bytes: Spread,
    peak_settled_bytes: Spread,
    rss_settled_bytes: Spread,
    pages: Vec<Page>,
}

#[derive(Debug, Serialize)]
struct Page {
    path: &'static str,
    took_us: Spread,
}

/// What one restart found.
struct Round {
    ready_us: f64,
    accepting_us: f64,
    peak_accepting_bytes: u64,
    peak_settled_bytes: u64,
    rss_settled_bytes: u64,
    pages_us: Vec<f64>,
}

/// Where the jobs are kept.
struct Place<'a> {
    state: &'a Path,
    /// Of a PostgreSQL database.
    url: Option<String>,
}

pub(crate) fn measure(options: &Options) -> Result<Outcome> {
    let disk = Disk::at(options.state.as_deref())?;
    let mut notes: Vec<String> = std::iter::once(disk.line()).chain(disk.warning()).collect();
    if let Some(state) = &options.keep {
        let stores = vec![restarted("SQLite", options, &Place { state, url: None })?];
        return Ok(Outcome::of(options, disk, stores, notes));
    }
    let state = disk.folder()?;
    if let Some(url) = &options.database {
        let place = Place { state: state.path(), url: Some(url.clone()) };
        return Ok(Outcome::of(options, disk, vec![restarted("PostgreSQL", options, &place)?], notes));
    }
    let mut stores = vec![restarted("SQLite", options, &Place { state: state.path(), url: None })?];
    drop(state);
    match cluster::start(&disk)? {
        Ok(cluster) => {
            let (state, url) = (disk.folder()?, Some(cluster.database("restart")?));
            stores.push(restarted("PostgreSQL", options, &Place { state: state.path(), url })?);
        }
        Err(reason) => notes.push(reason),
    }
    Ok(Outcome::of(options, disk, stores, notes))
}

impl Outcome {
    fn of(options: &Options, disk: Disk, stores: Vec<Restarted>, notes: Vec<String>) -> Self {
        let goals = stores.iter().flat_map(Restarted::goals).collect();
        let (waiting, history, rounds) = (options.waiting, options.history, options.rounds);
        Self { measurement: "restart", waiting, history, rounds, disk, stores, goals, notes }
    }
}

fn restarted(store: &'static str, options: &Options, place: &Place<'_>) -> Result<Restarted> {
    let began = Instant::now();
    let waiting = Runtime::new().context("start an async runtime")?.block_on(async {
        let store = place.open().await?;
        if store.held().await?.jobs == 0 {
            fill(store.as_ref(), options).await?;
        }
        anyhow::Ok(store.live().await?.len())
    })?;
    let filled_seconds = began.elapsed().as_secs_f64();
    let servers = Servers::start(SERVERS, Generation::V0_8)?;
    servers.comfy.iter().for_each(Comfy::hold);
    let rounds = (0..options.rounds).map(|round| restart(&servers, waiting + round, place));
    let rounds: Vec<Round> = rounds.collect::<Result<_>>()?;
    let spread = |figure: fn(&Round) -> f64| {
        Spread::of(rounds.iter().map(figure)).context("--rounds must be at least 1")
    };
    let page = |(index, path): (usize, &&'static str)| {
        let took = Spread::of(rounds.iter().filter_map(|round| round.pages_us.get(index).copied()));
        Ok(Page { path, took_us: took.context("--rounds must be at least 1")? })
    };
    Ok(Restarted {
        store,
        filled_seconds,
        ready_us: spread(|round| round.ready_us)?,
        accepting_us: spread(|round| round.accepting_us)?,
        peak_accepting_bytes: spread(|round| round.peak_accepting_bytes as f64)?,
        peak_settled_bytes: spread(|round| round.peak_settled_bytes as f64)?,
        rss_settled_bytes: spread(|round| round.rss_settled_bytes as f64)?,
        pages: PAGES.iter().enumerate().map(page).collect::<Result<_>>()?,
    })
}

impl Place<'_> {
    async fn open(&self) -> Result<Arc<dyn Store>> {
        Ok(match &self.url {
            Some(url) => Arc::new(Postgres::open(&url.parse()?, None, self.state).await?),
            None => Arc::new(Sqlite::open(self.state).await?),
        })
    }

    fn keys(&self) -> String {
        let database = self.url.as_ref().map(|url| format!("database = {url:?}\n")).unwrap_or_default();
        KEYS.to_owned() + &database
    }
}

/// The history first, as it came.
async fn fill(store: &dyn Store, options: &Options) -> Result<()> {
    let (sample, now) = (Sample::new()?, Clock::start().now());
    let every = HISTORY / u32::try_from(options.history.max(1))?;
    let at = |number: usize| {
        now.before(every * u32::try_from(options.history.saturating_sub(number)).unwrap_or_default())
    };
    let numbers: Vec<usize> = (0..options.history + options.waiting).collect();
    let (history, waiting) = numbers.split_at(options.history);
    for numbers in history.chunks(CHANGES_A_COMMIT) {
        let jobs = submit(store, &sample, numbers, at).await?;
        for change in COURSE {
            let changes =
                jobs.iter().zip(numbers).map(|(job, number)| Ok(Write::Change(change(*job, at(*number))?)));
            store.commit(&changes.collect::<Result<Vec<_>>>()?).await?;
        }
    }
    for numbers in waiting.chunks(CHANGES_A_COMMIT) {
        submit(store, &sample, numbers, |_| now).await?;
    }
    Ok(())
}

async fn submit(
    store: &dyn Store,
    sample: &Sample,
    numbers: &[usize],
    at: impl Fn(usize) -> UnixMillis,
) -> Result<Vec<collector::id::JobId>> {
    let submissions = numbers.iter().map(|number| sample.submission(*number, at(*number)));
    let submissions: Vec<_> = submissions.collect::<Result<_>>()?;
    let jobs = submissions.iter().map(|submission| submission.id).collect();
    let writes: Vec<Write> =
        submissions.into_iter().map(|submission| Write::Submit(Box::new(submission))).collect();
    store.commit(&writes).await?;
    Ok(jobs)
}

/// With so many jobs that wait or run.
fn restart(servers: &Servers, waiting: usize, place: &Place<'_>) -> Result<Round> {
    let began = Instant::now();
    let collector = launch(servers, place.state, &place.keys())?;
    let ready_us = micros(began);
    accepts(&collector, waiting)?;
    let accepting_us = micros(began);
    let peak_accepting_bytes = usage::peak_bytes(collector.pid())?;
    let mut connection = Connection::open(collector.address)?;
    let answer: Value = serde_json::from_slice(&connection.get("/prompt")?.ok()?.body)?;
    let remaining = answer.pointer("/exec_info/queue_remaining").and_then(Value::as_u64);
    let expected = waiting as u64 + 1;
    ensure!(remaining == Some(expected), "{expected} jobs should wait or run, not {remaining:?}");
    let pages = PAGES.iter().map(|path| {
        let began = Instant::now();
        connection.get(path)?.ok()?;
        Ok(micros(began))
    });
    let pages_us = pages.collect::<Result<_>>()?;
    thread::sleep(SETTLES);
    Ok(Round {
        ready_us,
        accepting_us,
        peak_accepting_bytes,
        peak_settled_bytes: usage::peak_bytes(collector.pid())?,
        rss_settled_bytes: usage::memory(collector.pid())?.rss_bytes,
        pages_us,
    })
}

/// Returns with the first job that is taken. Until a backend has told what it offers, none can be.
fn accepts(collector: &Program, seed: usize) -> Result<()> {
    let (body, began) = (prompt::body(&prompt::text_to_image(seed)), Instant::now());
    let mut connection = Connection::open(collector.address)?;
    while began.elapsed() < PATIENCE {
        if connection.post("/prompt", &body)?.status == 200 {
            return Ok(());
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("no job was accepted within {PATIENCE:?}: {}", connection.post("/prompt", &body)?.status)
}

fn micros(since: Instant) -> f64 {
    crate::figures::micros(since.elapsed())
}

impl Restarted {
    fn goals(&self) -> [Goal; 2] {
        let goal = |what: &str, unit, most, measured| {
            Goal::new(format!("{}: {what}", self.store), unit, Bound::AtMost(most), Some(measured))
        };
        let most = self.peak_settled_bytes.max.max(self.peak_accepting_bytes.max);
        [
            goal("accepting again", Unit::Seconds, GOAL_SECONDS, self.accepting_us.max / 1e6),
            goal("memory, at most", Unit::Bytes, GOAL_BYTES, most),
        ]
    }
}

impl Findings for Outcome {
    fn tables(&self) -> Vec<Table> {
        let title = format!(
            "A collector killed and started again with {} waiting jobs and {} in history: median of {} times (least–greatest)",
            self.waiting, self.history, self.rounds
        );
        let mut head = vec![""];
        head.extend(self.stores.iter().map(|store| store.store));
        let mut table = Table::new(title, &head);
        let mut row = |name: &str, cell: &dyn Fn(&Restarted) -> String| {
            table.row(std::iter::once(name.to_owned()).chain(self.stores.iter().map(cell)));
        };
        let bytes = |bytes: f64| mebibytes(bytes as u64);
        row("/-/ready answers 200", &|store| store.ready_us.shown(time));
        row("POST /prompt answers 200", &|store| store.accepting_us.shown(time));
        row("most memory until then", &|store| store.peak_accepting_bytes.shown(bytes));
        row("most memory 10 s later", &|store| store.peak_settled_bytes.shown(bytes));
        row("resident 10 s later", &|store| store.rss_settled_bytes.shown(bytes));
        for (index, path) in PAGES.iter().enumerate() {
            let page = |store: &Restarted| store.pages.get(index).map(|page| page.took_us.shown(time));
            row(&format!("GET {path}"), &|store| page(store).unwrap_or_default());
        }
        row("filling the database", &|store| format!("{:.0} s", store.filled_seconds));
        vec![table, goal::table(&self.goals)]
    }

    fn notes(&self) -> &[String] {
        &self.notes
    }
}
