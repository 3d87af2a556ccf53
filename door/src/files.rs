//! Files of secrets and certificates: read at the start, again when they change, and all of them when the program is told
//! to read its files again.

mod error;
mod file;
mod kept;
mod tls;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::signal::unix::Signal;
use tokio::sync::watch;

pub use self::error::{Error, Kind};
pub use self::file::{read, read_secret};
pub use self::kept::{Kept, replace};
pub use self::tls::Tls;
use crate::limits::FILES_PERIOD;
use crate::service;

/// How to speak TLS, from a certificate's and a key's file.
pub type Certificate = Kept<Tls, Error, 2>;

/// Reads a certificate (PEM, followed by those between it and its authority) and its key.
///
/// # Errors
/// A file cannot be read or does not hold what it should, or the two do not belong together.
pub fn certificate(certificate: &Path, key: &Path) -> Result<Certificate, Error> {
    let files: [PathBuf; 2] = [certificate.to_owned(), key.to_owned()];
    Kept::load(files, |[certificate, key]| tls::read(certificate, key))
}

/// What is made of files that may change.
pub trait Renew: Send + 'static {
    /// Why the files cannot be used as they are now.
    type Error: Display;

    /// Whether no file needs to be looked at for a change.
    fn is_empty(&self) -> bool;

    /// Reads what has changed again, each file on its own. One that is broken leaves in force what was read before.
    fn renew(&mut self);

    /// Reads everything again, which is in force only if all of it can be used.
    ///
    /// # Errors
    /// Something cannot be used; all is as before.
    fn reload(&mut self) -> Result<(), Self::Error>;
}

/// How reading everything again has gone.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reloads {
    /// Whether what was read last is in force; true before the first time.
    pub last_succeeded: bool,
    /// When what is in force was read, since the Unix epoch.
    pub last_success: Duration,
}

impl Reloads {
    /// As it is at the start: what is in force has just been read.
    pub fn start() -> watch::Sender<Self> {
        watch::Sender::new(Self { last_succeeded: true, last_success: now() })
    }

    fn note(&mut self, succeeded: bool) {
        self.last_succeeded = succeeded;
        if succeeded {
            self.last_success = now();
        }
    }
}

/// A clock before 1970 tells nothing.
fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Reads files again that have changed, each minute, and everything upon the signal. Never returns.
pub async fn keep(mut kept: impl Renew, mut again: Signal, reloads: watch::Sender<Reloads>) {
    let mut ticks = tokio::time::interval(FILES_PERIOD);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => false,
            _ = again.recv() => true,
        };
        if !told && kept.is_empty() {
            continue;
        }
        if told {
            service::reloading();
        }
        // Apart from the threads that answer: a file may lie on a disk that hangs.
        let work = tokio::task::spawn_blocking(move || {
            let outcome = told.then(|| kept.reload().map_err(|error| error.to_string()));
            if !told {
                kept.renew();
            }
            (kept, outcome)
        });
        match work.await {
            Ok((renewed, outcome)) => {
                kept = renewed;
                if let Some(outcome) = outcome {
                    conclude(outcome, &reloads);
                }
            }
            Err(error) => {
                tracing::error!(%error, "the files' contents stay in force as they are until a restart");
                return std::future::pending().await;
            }
        }
    }
}

fn conclude(outcome: Result<(), String>, reloads: &watch::Sender<Reloads>) {
    reloads.send_modify(|reloads| reloads.note(outcome.is_ok()));
    match outcome {
        Ok(()) => tracing::info!("all files were read again and are in force"),
        Err(error) => tracing::error!("{error}; until then all that was read before stays in force"),
    }
    service::reloaded();
}
