//! `orchestrator-collector`: read the configuration, start, run until told to stop; or do what a command says.

use std::pin::pin;
use std::process::ExitCode;

use collector::config::{Config, Flags};
use collector::{Collector, lifecycle, tool};

#[tokio::main]
async fn main() -> ExitCode {
    let mut flags = Flags::read();
    let ended = match flags.command.take() {
        Some(command) => tool::run(command).await.map_err(anyhow::Error::from),
        None => serve(flags).await.map(|()| ExitCode::SUCCESS),
    };
    ended.unwrap_or_else(|error| {
        tool::say(&error.to_string());
        ExitCode::FAILURE
    })
}

async fn serve(flags: Flags) -> anyhow::Result<()> {
    let config = Config::load(flags)?;
    lifecycle::log_to_stderr(&config.log)?;
    let mut told_to_stop = pin!(lifecycle::until_told_to_stop());
    let collector = tokio::select! {
        started = Collector::start(config) => started?,
        () = &mut told_to_stop => return Ok(()),
    };
    let failed = tokio::select! {
        () = told_to_stop => false,
        () = collector.failed() => true,
    };
    collector.stop().await;
    anyhow::ensure!(!failed, "something inside was lost, see the log; start it again, no job is lost");
    Ok(())
}
