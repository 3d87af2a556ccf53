//! `orchestrator-collector`: read the configuration, start, run until told to stop.

use std::pin::pin;
use std::process::ExitCode;

use collector::Collector;
use collector::config::{Command, Config, Flags};
use collector::lifecycle;

#[tokio::main]
async fn main() -> ExitCode {
    let flags = Flags::read();
    if let Some(Command::Completions { shell }) = flags.command {
        Flags::print_completions(shell);
        return ExitCode::SUCCESS;
    }
    match serve(flags).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("orchestrator-collector: {error}");
            ExitCode::FAILURE
        }
    }
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
