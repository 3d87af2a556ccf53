//! What can be wrong with a file, and what to do about it.

use std::io;
use std::path::PathBuf;

/// What a file is to hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// `--token-file`
    Token,
    /// `--tls-certificate`
    Certificate,
    /// `--tls-key`
    Key,
    /// `--webhook-secret-file`
    WebhookSecret,
}

impl Kind {
    fn flag(self) -> &'static str {
        match self {
            Self::Token => "--token-file",
            Self::Certificate => "--tls-certificate",
            Self::Key => "--tls-key",
            Self::WebhookSecret => "--webhook-secret-file",
        }
    }
}

/// Why a file of the token, the certificate or the key cannot be used. No text of the file is told.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It cannot be read.
    #[error("cannot read {path} ({flag}): {source}; it must be a file that this program's user may read", flag = kind.flag())]
    Read {
        /// What it is to hold.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It is longer than such a file can be.
    #[error("{path} is longer than 1 MiB; is it the file meant by {flag}?", flag = kind.flag())]
    TooLong {
        /// What it is to hold.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
    },
    /// It does not hold a certificate or a key in PEM.
    #[error("{path} ({flag}) cannot be used: {reason}; it must be a PEM file", flag = kind.flag())]
    Pem {
        /// What it is to hold.
        kind: Kind,
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Certificate and key do not make a server.
    #[error(
        "the certificate {certificate} and the key {key} cannot be used together: {source}; name a certificate with its \
         own key"
    )]
    Pair {
        /// `--tls-certificate`
        certificate: PathBuf,
        /// `--tls-key`
        key: PathBuf,
        /// What rustls said.
        source: rustls::Error,
    },
}
