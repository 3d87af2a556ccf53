//! The token that requests show and the certificate that the agent shows: read at the start, and again when their
//! files change. It knows no routes and no connections; those look at what is in force when they need it.

mod error;
mod file;
mod kept;
mod tls;
mod token;

use std::sync::Arc;

use rustls::ServerConfig;
use tokio::signal::unix::Signal;
use tokio::sync::watch;

pub(crate) use self::error::{Error, Kind};
use self::kept::Kept;
pub(crate) use self::token::Token;
use crate::config::AccessFiles;
use crate::limits::ACCESS_PERIOD;

/// What is in force. Without files there is nothing of it, and nothing is asked.
pub(crate) struct Access {
    token: Option<Kept<Token, 1>>,
    tls: Option<Kept<ServerConfig, 2>>,
}

impl Access {
    /// Reads the files that are configured.
    ///
    /// # Errors
    /// A file cannot be read or does not hold what it should.
    pub(crate) fn load(files: &AccessFiles) -> Result<Self, Error> {
        let token = files.token_file.clone().map(|file| Kept::load([file], |[file]| token::read(file)));
        let pair = files.tls_certificate.clone().zip(files.tls_key.clone());
        let tls = pair.map(|(certificate, key)| Kept::load([certificate, key], |[c, k]| tls::read(c, k)));
        Ok(Self { token: token.transpose()?, tls: tls.transpose()? })
    }

    /// The token to ask for, if one is configured.
    pub(crate) fn token(&self) -> Option<watch::Receiver<Arc<Token>>> {
        self.token.as_ref().map(Kept::current)
    }

    /// How to speak TLS, if a certificate is configured.
    pub(crate) fn tls(&self) -> Option<watch::Receiver<Arc<ServerConfig>>> {
        self.tls.as_ref().map(Kept::current)
    }

    fn is_empty(&self) -> bool {
        self.token.is_none() && self.tls.is_none()
    }

    fn renew(&mut self, told: bool) {
        if let Some(token) = &mut self.token {
            token.renew(told);
        }
        if let Some(tls) = &mut self.tls {
            tls.renew(told);
        }
    }
}

/// Reads files again that have changed, each minute, and all of them upon the signal. Never returns.
pub(crate) async fn keep(mut access: Access, mut again: Signal) {
    let mut ticks = tokio::time::interval(ACCESS_PERIOD);
    loop {
        let told = tokio::select! {
            _ = ticks.tick() => false,
            _ = again.recv() => true,
        };
        if access.is_empty() {
            continue;
        }
        // Apart from the thread that answers: a file may lie on a disk that hangs.
        let renewed = tokio::task::spawn_blocking(move || {
            access.renew(told);
            access
        });
        match renewed.await {
            Ok(renewed) => access = renewed,
            Err(error) => {
                tracing::error!(%error, "the token and the certificate stay as they are until a restart");
                return std::future::pending().await;
            }
        }
    }
}
