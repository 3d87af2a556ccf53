//! The binary `orchestrator-agent`: settings, log, and then [`agent::run`].

use std::io::{self, Write};
use std::process::ExitCode;

use agent::config::{self, Command, Config, LogFormat};
use clap::{CommandFactory, Parser};
use clap_complete::Shell;

fn main() -> ExitCode {
    let config = match Config::try_parse() {
        Ok(config) => config,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let is_set = |variable: &str| std::env::var_os(variable).is_some();
            return refuse(&config::one_line(&error, is_set), 2);
        }
    };
    if let Some(Command::Completions { shell }) = config.command {
        return complete(shell);
    }
    start_log(&config);
    match serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        // Without its sources, which the message quotes.
        Err(error) => refuse(&format!("error: {error}"), 1),
    }
}

/// Whoever reads them may have had enough, such as `head`: no reason to panic, as clap would.
fn complete(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Config::command(), "orchestrator-agent", &mut script);
    match io::stdout().write_all(&script).and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("error: cannot write the completions: {error}"), 1),
    }
}

/// One thread serves everything: answers are copies of what the sampler has published.
fn serve(config: Config) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(agent::Error::Start)?;
    let ended = runtime.block_on(agent::run(config));
    // Dropped, it would wait for a token's or certificate's file that hangs, and with it the end of the process.
    runtime.shutdown_background();
    Ok(ended?)
}

fn start_log(config: &Config) {
    let log = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()))
        // Told on the standard error that has just failed, which panics: a full disk must cost the log alone.
        .log_internal_errors(false)
        .with_max_level(tracing::Level::from(config.log_level));
    match config.log_format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

/// An error that ends the program is for whoever started it, not for the log.
fn refuse(message: &str, code: u8) -> ExitCode {
    // Where nobody reads it, the code still tells.
    let _ = writeln!(io::stderr(), "{message}");
    ExitCode::from(code)
}
