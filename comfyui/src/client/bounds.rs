//! How long calls may take and how much they may bring: every call has a bound.

use std::time::Duration;

/// The bound of one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bound {
    /// From the start to the end of the answer.
    pub timeout: Duration,
    /// Of the answer's body.
    pub limit_bytes: u64,
}

/// The bounds of a client's calls by how much they ask for.
///
/// ```
/// use std::time::Duration;
///
/// use comfyui::client::Bounds;
///
/// let mut patient = Bounds::default();
/// patient.small.timeout = Duration::from_secs(60);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    /// Figures, flags and lists of names: 10 s, 8 MiB. A server that loads a model may answer seconds late.
    pub small: Bound,
    /// [`health_check`](super::Client::health_check): 5 s, 8 MiB.
    pub health: Bound,
    /// `POST /prompt`, which the server validates before it answers: 30 s, 16 MiB of errors.
    pub submit: Bound,
    /// `/queue`, `/history` and jobs, which carry whole prompts with workflows: 30 s, 256 MiB.
    pub backlog: Bound,
    /// `/object_info`, which the server computes at each call (it lists its model folders): 60 s, 64 MiB.
    pub object_info: Bound,
    /// Uploads: 300 s for 100 MB over a slow line, 1 MiB of answer.
    pub upload: Bound,
    /// Streams: how long the answer may take to begin, and how long one may be silent: 60 s. Their length has no bound
    /// since they are not held in memory.
    pub stream_silence: Duration,
    /// Connecting a WebSocket, handshakes included: 10 s.
    pub socket_connect: Duration,
    /// One message of a WebSocket: 64 MiB.
    pub socket_message_bytes: usize,
    /// How long a WebSocket may be silent before the other side is asked whether it is there: 30 s.
    pub socket_ping_after: Duration,
    /// How long the other side may take to show any sign then: 60 s, since loading a model can hold up all else in a
    /// server.
    pub socket_pong_within: Duration,
}

const MIB: u64 = 1 << 20;

impl Default for Bounds {
    fn default() -> Self {
        let bound = |seconds, limit_bytes| Bound { timeout: Duration::from_secs(seconds), limit_bytes };
        Self {
            small: bound(10, 8 * MIB),
            health: bound(5, 8 * MIB),
            submit: bound(30, 16 * MIB),
            backlog: bound(30, 256 * MIB),
            object_info: bound(60, 64 * MIB),
            upload: bound(300, MIB),
            stream_silence: Duration::from_secs(60),
            socket_connect: Duration::from_secs(10),
            socket_message_bytes: 64 << 20,
            socket_ping_after: Duration::from_secs(30),
            socket_pong_within: Duration::from_secs(60),
        }
    }
}
