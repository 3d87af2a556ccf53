//! The binary `orchestrator-agent`: settings, log, and then [`agent::run`].

use std::io;
use std::process::ExitCode;

use agent::config::{self, Command, Config, LogFormat};
use clap::{CommandFactory, Parser};

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => return refuse(&config::one_line(&error), 2),
    };
    if let Some(Command::Completions { shell }) = config.command {
        clap_complete::generate(shell, &mut Config::command(), "orchestrator-agent", &mut io::stdout());
        return ExitCode::SUCCESS;
    }
    start_log(&config);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("error: {error:#}"), 1),
    }
}

/// One thread serves everything: answers are copies of what the sampler has published.
fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(agent::run(config))?;
    Ok(())
}

fn start_log(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        .with_max_level(tracing::Level::from(config.log_level));
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// An error that ends the program is for whoever started it, not for the log.
fn refuse(message: &str, code: u8) -> ExitCode {
    eprintln!("{message}");
    ExitCode::from(code)
}
