//! Files of secrets and certificates: read at the start, and again when they change.

mod error;
mod file;
mod kept;
mod tls;

use std::path::{Path, PathBuf};

use rustls::ServerConfig;
use tokio::signal::unix::Signal;

pub use self::error::{Error, Kind};
pub use self::file::{read, read_secret};
pub use self::kept::Kept;
use crate::limits::FILES_PERIOD;

/// How to speak TLS, from a certificate's and a key's file.
pub type Certificate = Kept<ServerConfig, Error, 2>;

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
    /// Whether there is no file to look at.
    fn is_empty(&self) -> bool;

    /// Reads what has changed again, or everything if `told`.
    fn renew(&mut self, told: bool);
}

/// Reads files again that have changed, each minute, and all of them upon the signal. Never returns.
pub async fn keep(mut kept: impl Renew, mut again: Signal) {
    let mut ticks = tokio::time::interval(FILES_PERIOD);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => false,
            _ = again.recv() => true,
        };
        if kept.is_empty() {
            continue;
        }
        // Apart from the threads that answer: a file may lie on a disk that hangs.
        let renewed = tokio::task::spawn_blocking(move || {
            kept.renew(told);
            kept
        });
        match renewed.await {
            Ok(renewed) => kept = renewed,
            Err(error) => {
                tracing::error!(%error, "the tokens and the certificate stay as they are until a restart");
                return std::future::pending().await;
            }
        }
    }
}
