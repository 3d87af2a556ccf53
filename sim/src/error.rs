//! What can go wrong with a simulation itself.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What can go wrong with a simulation itself.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be had.
    #[error("start a simulated server on {address}: {source}; give another port, or 0 for any free one")]
    Start {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// What was waited for did not come.
    #[error("waited {0:?} for a condition that did not come; the last state was {1}")]
    Waited(Duration, String),
}

/// The result of an operation on a simulation.
pub type Result<T> = std::result::Result<T, Error>;
