//! The binary `orchestrator-agent`: settings, log, and then [`agent::run`].

use std::io::{self, Write};
use std::net::TcpListener;
use std::process::ExitCode;

use agent::config::{self, Command, Config, LogFormat};
use clap::{ArgMatches, CommandFactory, FromArgMatches};
use clap_complete::Shell;
use door::service;

fn main() -> ExitCode {
    let matches = Config::command().try_get_matches();
    let parsed = matches.and_then(|matches| Ok((Config::from_arg_matches(&matches)?, matches)));
    let (config, matches) = match parsed {
        Ok(parsed) => parsed,
        Err(error) if !error.use_stderr() => error.exit(),
        Err(error) => {
            let is_set = |variable: &str| std::env::var_os(variable).is_some();
            return refuse(&config::one_line(&error, is_set), 2);
        }
    };
    if let Some(Command::Completions { shell }) = config.command {
        return complete(shell);
    }
    if config.check {
        return check(&config, &matches);
    }
    start_log(&config);
    // Before there is a second thread.
    let passed = match service::passed_listener() {
        Ok(passed) => passed,
        Err(error) => return refuse(&format!("error: cannot take the socket that was passed: {error}"), 1),
    };
    match serve(config, passed) {
        Ok(()) => ExitCode::SUCCESS,
        // Without its sources, which the message quotes.
        Err(error) => refuse(&format!("error: {error}"), 1),
    }
}

fn complete(shell: Shell) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Config::command(), "orchestrator-agent", &mut script);
    print(&script)
}

fn check(config: &Config, matches: &ArgMatches) -> ExitCode {
    if let Err(error) = agent::check(config) {
        return refuse(&format!("error: {error}"), 1);
    }
    print(config::explain(matches).as_bytes())
}

/// Whoever reads it may have had enough, such as `head`: no reason to panic, as clap would.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text).and_then(|()| io::stdout().flush()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => refuse(&format!("error: cannot write to standard output: {error}"), 1),
    }
}

/// One thread serves everything: answers are copies of what the sampler has published.
fn serve(config: Config, passed: Option<TcpListener>) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(agent::Error::Start)?;
    let ended = runtime.block_on(agent::run(config, passed));
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
