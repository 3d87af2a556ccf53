//! Bounded fan-out of events to clients. It knows clients and their sockets, nothing of jobs' states or backends.

mod channel;
mod hub;
mod journal;
mod outbox;
mod previews;

use axum::extract::ws::Utf8Bytes;
use bytes::Bytes;
use serde_json::json;

pub use self::hub::{Hub, Listener, Subscription, Watcher};
pub use self::journal::{Journal, News, Reader, Told};
pub use self::outbox::Overflow;
pub use self::previews::Preview;

/// One frame for a client, already in the words that it understands.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    Text {
        weight: Weight,
        text: Utf8Bytes,
    },
    /// A preview in both forms; which one is sent, the client's feature flags decide.
    Preview {
        plain: Bytes,
        with_metadata: Option<Bytes>,
    },
}

/// What a slow client loses first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// The next one of its kind tells as much: progress and previews.
    Light,
    /// Must arrive, or the client must be disconnected.
    Heavy,
}

impl Event {
    pub fn heavy(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text { weight: Weight::Heavy, text: text.into() }
    }

    pub fn light(text: impl Into<Utf8Bytes>) -> Self {
        Self::Text { weight: Weight::Light, text: text.into() }
    }

    /// How many jobs wait and run. With a `sid` it is a connection's first frame.
    pub fn status(remaining: usize, sid: Option<&str>) -> Self {
        let status = json!({ "exec_info": { "queue_remaining": remaining } });
        match sid {
            Some(sid) => {
                Self::heavy(json!({ "type": "status", "data": { "status": status, "sid": sid } }).to_string())
            }
            None => Self::light(json!({ "type": "status", "data": { "status": status } }).to_string()),
        }
    }

    /// The frame of a picture; texts come as binary frames too.
    fn picture(&self) -> Option<&Bytes> {
        const PICTURE: [u8; 4] = [0, 0, 0, 1];
        match self {
            Self::Preview { plain, .. } => plain.starts_with(&PICTURE).then_some(plain),
            Self::Text { .. } => None,
        }
    }

    fn is_light(&self) -> bool {
        matches!(self, Self::Preview { .. } | Self::Text { weight: Weight::Light, .. })
    }
}
