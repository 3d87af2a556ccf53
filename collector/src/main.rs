//! `orchestrator-collector`: read the configuration, start, run until told to stop; or do what a command says.

use std::io;
use std::net::TcpListener;
use std::pin::pin;
use std::process::ExitCode;

use anyhow::anyhow;

use collector::config::{Config, Flags, ServeFlags};
use collector::standby::Role;
use collector::{Collector, Given, Source, lifecycle, standby, tool};
use door::service;

fn main() -> ExitCode {
    let mut flags = Flags::read();
    // Before there is a second thread.
    let passed = service::passed_listener();
    let ended = match flags.command.take() {
        Some(command) => on_threads(tool::run(command)).and_then(|ended| Ok(ended?)),
        None => on_threads(serve(flags.serve, passed)).and_then(|ended| ended.map(|()| ExitCode::SUCCESS)),
    };
    ended.unwrap_or_else(|error| {
        tool::say(&error.to_string());
        ExitCode::FAILURE
    })
}

fn on_threads<T>(work: impl Future<Output = T>) -> anyhow::Result<T> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work))
}

async fn serve(flags: ServeFlags, passed: io::Result<Option<TcpListener>>) -> anyhow::Result<()> {
    let config = Config::load(flags.clone())?;
    let log = lifecycle::log_to_stderr(&config.log)?;
    let passed = passed.map_err(|error| anyhow!("the socket that was passed cannot be used: {error}"))?;
    let given = Given { passed, source: Some(Source { flags, log }), ..Given::default() };
    let mut told_to_stop = pin!(lifecycle::until_told_to_stop());
    let collector = tokio::select! {
        started = start(config, given) => started?,
        () = &mut told_to_stop => return Ok(()),
    };
    let failed = tokio::select! {
        () = told_to_stop => false,
        () = collector.failed() => true,
        () = service::prove_life(async || collector.lives().await) => false,
    };
    service::stopping();
    collector.stop().await;
    anyhow::ensure!(!failed, "something inside was lost, see the log; start it again, no job is lost");
    Ok(())
}

/// At once, or after having stood by for another collector.
async fn start(config: Config, given: Given) -> anyhow::Result<Collector> {
    let mut standby = match standby::role(&config, given).await? {
        Role::Leads(given) => return Ok(Collector::start_with(config, given).await?),
        Role::StandsBy(standby) => standby,
    };
    let own = config.peers.as_ref().map(|peers| peers.url.clone());
    let given = tokio::select! {
        given = standby.takes_over() => given?,
        () = service::prove_life(async || ()) => std::future::pending().await,
    };
    // As it is by now: it may have been reloaded since.
    let config = match &given.source {
        Some(source) => Config::load(source.flags.clone())?,
        None => config,
    };
    let alive = tokio::spawn(service::prove_life(async || ()));
    let started = Collector::start_with(config, given).await;
    alive.abort();
    let collector = started?;
    if let Some(own) = own {
        standby.ends(own).await;
    }
    Ok(collector)
}
