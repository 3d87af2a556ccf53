//! Start and stop of the process: the log, the signals, what the system grants.

use std::io::{self, IsTerminal};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{LevelFilter, ParseError};

use crate::config::{Log, LogFormat};
use crate::limits::FILE_DESCRIPTORS;

#[derive(Debug, thiserror::Error)]
pub enum LogError {
    #[error(
        "the log filter {filter:?} cannot be read: {reason}; write it as `info` or `info,collector=debug`"
    )]
    Filter { filter: String, reason: String },
    #[error("the log is already set up: {0}")]
    Taken(String),
}

/// Parts of libraries that tell at `info` what is no news: that a table is there already, that a request is tried again.
const NO_NEWS: [&str; 2] = ["sqlx::postgres::notice", "object_store"];

impl Log {
    /// What of the log's filter becomes of it.
    pub(crate) fn parsed(&self) -> Result<EnvFilter, LogError> {
        let refuse = |reason: String| LogError::Filter { filter: self.filter.clone(), reason };
        // A word alone would be taken for a module's name, and silence everything else.
        let is_level = |part: &&str| part.contains('=') || part.trim().parse::<LevelFilter>().is_ok();
        if let Some(word) = self.filter.split(',').find(|part| !is_level(part)) {
            return Err(refuse(format!("{word:?} is none of off, error, warn, info, debug, trace")));
        }
        let mut filter = EnvFilter::try_new(&self.filter).map_err(|error| refuse(error.to_string()))?;
        let level = self.filter.rsplit(',').find_map(|part| part.trim().parse::<LevelFilter>().ok());
        let named = self.filter.split(',').filter_map(|part| Some(part.split_once('=')?.0.trim()));
        for target in NO_NEWS.into_iter().filter(|_| level == Some(LevelFilter::INFO)) {
            if !named.clone().any(|name| target.starts_with(name)) {
                let directive = format!("{target}=warn").parse();
                filter = filter.add_directive(directive.map_err(|e: ParseError| refuse(e.to_string()))?);
            }
        }
        Ok(filter)
    }
}

/// Changes what is logged while the program runs.
pub struct LogFilter(Box<dyn Fn(EnvFilter) + Send + Sync>);

impl LogFilter {
    pub(crate) fn set(&self, filter: EnvFilter) {
        (self.0)(filter);
    }
}

/// One line an event, to standard error: plain text for people, JSON for machines.
pub fn log_to_stderr(log: &Log) -> Result<LogFilter, LogError> {
    let lines = tracing_subscriber::fmt().with_env_filter(log.parsed()?).with_writer(io::stderr);
    // Setting a filter fails only once the log is gone, with the program.
    let (set, taken): (Box<dyn Fn(EnvFilter) + Send + Sync>, _) = match log.format {
        LogFormat::Text => {
            let lines =
                lines.with_target(false).with_ansi(io::stderr().is_terminal()).with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| drop(handle.reload(filter))), lines.try_init())
        }
        LogFormat::Json => {
            let lines = lines.json().with_filter_reloading();
            let handle = lines.reload_handle();
            (Box::new(move |filter| drop(handle.reload(filter))), lines.try_init())
        }
    };
    taken.map_err(|e| LogError::Taken(e.to_string()))?;
    Ok(LogFilter(set))
}

/// Asks for more file descriptors, as a connection takes one, and gives how many there may be.
pub fn file_descriptors() -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.map_or(FILE_DESCRIPTORS, |most| most.min(FILE_DESCRIPTORS));
    let current = limit.current.map(|current| current.max(wanted));
    // Where that fails after all, there are as many as before.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

/// Runs what the program cannot do without. Should it end by a panic, the program stops, and the next start goes on from
/// the store.
pub fn vital(name: &'static str, stop: CancellationToken, work: impl Future<Output = ()> + Send + 'static) {
    let task = tokio::spawn(work);
    tokio::spawn(async move {
        if let Err(error) = task.await {
            tracing::error!(%error, name, "a task was lost that the collector cannot do without; stopping");
            stop.cancel();
        }
    });
}

/// Returns at SIGINT or SIGTERM, also at one that comes after this call and before it is awaited.
pub fn until_told_to_stop() -> impl Future<Output = ()> {
    let told = [SignalKind::interrupt(), SignalKind::terminate()].map(signal);
    async move {
        let [interrupt, terminate] = told.map(wait);
        tokio::select! {
            () = interrupt => {}
            () = terminate => {}
        }
        tracing::info!("told to stop");
    }
}

async fn wait(told: io::Result<Signal>) {
    match told {
        Ok(mut told) => drop(told.recv().await),
        Err(error) => {
            tracing::error!(%error, "a signal cannot be waited for");
            std::future::pending().await
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_level_is_refused_instead_of_silencing_everything() {
        let log = Log { filter: "info,verbose".to_owned(), format: LogFormat::Text };
        let error = log.parsed().unwrap_err().to_string();
        assert!(error.contains("\"verbose\" is none of"), "{error}");
    }

    #[test]
    fn libraries_tell_their_own_news_only_to_who_asks() {
        let parsed = |filter: &str| {
            let log = Log { filter: filter.to_owned(), format: LogFormat::Text };
            let filter = log.parsed().unwrap().to_string();
            let mut parts: Vec<String> = filter.split(',').map(str::to_owned).collect();
            parts.sort();
            parts.join(",")
        };
        let quiet = "info,object_store=warn,sqlx::postgres::notice=warn";
        for (filter, wanted) in [
            ("info", quiet),
            ("info,object_store=debug,sqlx=info", "info,object_store=debug,sqlx=info"),
            (
                "object_store::aws=debug,info",
                "info,object_store::aws=debug,object_store=warn,sqlx::postgres::notice=warn",
            ),
            ("error", "error"),
            ("debug", "debug"),
        ] {
            assert_eq!(parsed(filter), wanted, "{filter}");
        }
    }
}
