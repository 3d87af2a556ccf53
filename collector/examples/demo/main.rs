//! The whole system on one machine: ComfyUI servers with an agent each, a collector in front of them, and a client that
//! submits jobs, follows them and fetches their pictures. This file owns the order of events and the exit code;
//! `stage` starts servers and collector, `jobs` says what is submitted, `client` and `follow` are what a program of your own would
//! do, `screen` and `summary` only print.
//!
//! `cargo run --release -p collector --example demo`

mod client;
mod follow;
mod jobs;
mod screen;
mod stage;
mod summary;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::Parser;
use collector::config::BackendUrl;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::client::Client;
use crate::follow::follow;
use crate::screen::Screen;
use crate::stage::Stage;

/// What shells expect of a program that was stopped by Ctrl-C before it was done.
const STOPPED: u8 = 130;
const SHUT_DOWN_WITHIN: Duration = Duration::from_secs(5);

/// Shows the collector at work: starts three simulated ComfyUI servers with an agent each and a collector in front of
/// them, submits jobs, and keeps serving until Ctrl-C. Needs no GPU, no ComfyUI and no model.
#[derive(Debug, Parser)]
#[command(name = "demo", after_help = EXAMPLES)]
struct Options {
    /// A real ComfyUI server to use instead of the simulated ones; may be repeated. It keeps the demo's pictures in its
    /// output folder too
    #[arg(long, value_name = "URL")]
    backend: Vec<BackendUrl>,

    /// How many jobs to submit
    #[arg(long, value_name = "N", default_value_t = 12, value_parser = clap::value_parser!(u32).range(1..=1000))]
    jobs: u32,

    /// Where to save the pictures, over those of an earlier demo there [default: a new directory for temporary files]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,

    /// End when the jobs have: with 0 if all succeeded, with 1 if one failed
    #[arg(long)]
    once: bool,
}

const EXAMPLES: &str = "\
Examples:
  cargo run --release -p collector --example demo
  cargo run --release -p collector --example demo -- --once --out pictures
  cargo run --release -p collector --example demo -- --backend http://gpu-1:8188 --backend http://gpu-2:8188";

fn main() -> ExitCode {
    match run(&Options::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(options: &Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut stop = {
        let _inside = runtime.enter();
        Stop::listen().context("cannot listen for Ctrl-C")?
    };
    let state = tempfile::Builder::new().prefix("orchestrator-demo-state-").tempdir();
    let state = state.context("no directory for temporary files can be made; set TMPDIR to one")?;
    let done = runtime.block_on(demonstrate(options, state.path(), &mut stop));
    // The collector's tasks have files open in there: they end first, so that none is made anew.
    runtime.shutdown_timeout(SHUT_DOWN_WITHIN);
    let place = state.path().to_owned();
    state.close().with_context(|| format!("cannot remove {}; remove it by hand", place.display()))?;
    done
}

/// Ctrl-C, and what service managers send. Heard from the first moment on.
struct Stop {
    interrupt: Signal,
    terminate: Signal,
}

impl Stop {
    fn listen() -> std::io::Result<Self> {
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn told(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

async fn demonstrate(options: &Options, state: &Path, stop: &mut Stop) -> Result<ExitCode> {
    let screen = Screen::new();
    let pictures = Pictures::prepare(options.out.as_deref())?;
    let performed = tokio::select! {
        biased;
        () = stop.told() => None,
        performed = perform(options, state, &pictures.directory, &screen) => Some(performed),
    };
    screen.clear();
    let Some(performed) = performed else {
        screen.line("Stopped before all jobs had ended.");
        if pictures.are_there() {
            screen.line(&format!("The pictures until then are in {}", pictures.directory.display()));
        }
        return Ok(ExitCode::from(STOPPED));
    };
    let (stage, failed) = performed?;
    if !options.once {
        summary::addresses(&screen, &stage);
        stop.told().await;
    }
    stage.collector.stop().await;
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Everything until the last job has ended, and whether one failed.
async fn perform(options: &Options, state: &Path, pictures: &Path, screen: &Screen) -> Result<(Stage, bool)> {
    let stage = Stage::set(&options.backend, state).await?;
    let client = Client::of(&stage.url, pictures)?;
    summary::opening(screen, &client.ready(screen).await?, &stage.url, pictures);
    let jobs = jobs::of(options.jobs, &client.models().await?);
    let begun = Instant::now();
    let ended = follow(&client, jobs, screen).await?;
    summary::closing(screen, &stage, &ended, begun.elapsed(), pictures);
    let failed = ended.iter().any(|job| job.failure.is_some());
    Ok((stage, failed))
}

/// Where pictures go. A directory that nobody asked for and nothing came into is removed again.
struct Pictures {
    directory: PathBuf,
    asked_for: bool,
}

impl Pictures {
    fn prepare(asked: Option<&Path>) -> Result<Self> {
        let Some(directory) = asked else {
            let fresh = tempfile::Builder::new().prefix("orchestrator-demo-").tempdir();
            let fresh =
                fresh.context("no directory for the pictures can be made; name one with --out DIR")?;
            return Ok(Self { directory: fresh.keep(), asked_for: false });
        };
        let failed = || format!("cannot make {}; name another directory with --out", directory.display());
        std::fs::create_dir_all(directory).with_context(failed)?;
        Ok(Self { directory: directory.to_owned(), asked_for: true })
    }

    fn are_there(&self) -> bool {
        std::fs::read_dir(&self.directory).is_ok_and(|mut entries| entries.next().is_some())
    }
}

impl Drop for Pictures {
    fn drop(&mut self) {
        if !self.asked_for {
            // Refused while there are pictures in it, as it should be.
            let _ = std::fs::remove_dir(&self.directory);
        }
    }
}
