//! What bounds connections. The figures are each program's own, but for those of files that both read alike.

use std::time::Duration;

/// The longest file of a token, of certificates or of a key that is read.
pub(crate) const FILE_BYTES: u64 = 1 << 20;

/// How often files are looked at for a change.
pub(crate) const FILES_PERIOD: Duration = Duration::from_secs(60);

/// The bounds of connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time, those that became WebSockets included.
    pub total: usize,
    /// Of these, from one address that is not this machine's, so that a client gone wild locks nobody else out.
    pub per_address: usize,
    /// Connections beyond them that are told so at a time; further ones are closed without a word.
    pub refusals: usize,
    /// How long telling them may take.
    pub refusal: Duration,
    /// From a connection's opening to the end of its TLS handshake.
    pub handshake: Duration,
    /// From a connection's opening, or the first byte after an answer, to the request's last byte. It is longer by a
    /// second for every `bytes_a_second` that have come.
    pub request: Duration,
    /// What a request that takes longer than `request` must come at on average.
    pub bytes_a_second: u32,
    /// From an answer to the whole head of the next request.
    pub idle: Duration,
    /// How long a client may take no byte of an answer, or send no byte of a request that it has begun.
    pub stall: Duration,
    /// A request's head; hyper takes no bound below 8 KiB.
    pub head_bytes: usize,
    /// How long answers under way may take after the signal to stop.
    pub stop: Duration,
}
