//! Whether the WebSocket to a backend still hears it. ComfyUI knows a client by its name alone: when a socket ends late that bore
//! our name before ours did, as that of a collector that was cut off and replaced, ours is forgotten with it, and stays open. A
//! server tells all that it knows of every change of its queue; so when the count has changed and nothing was said, it knows us
//! no more. Pure.

use crate::clock::UnixMillis;
use crate::limits;

/// The default is one that is not open.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ear {
    heard_at: Option<UnixMillis>,
    /// The last count, and when it was asked for.
    count: Option<(u64, UnixMillis)>,
    /// Since when it is known that something was not heard.
    missed_at: Option<UnixMillis>,
    is_deaf: bool,
}

impl Ear {
    pub(super) fn opened(now: UnixMillis) -> Self {
        Self { heard_at: Some(now), ..Self::default() }
    }

    pub(super) fn hears(&mut self, now: UnixMillis) {
        (self.heard_at, self.missed_at) = (Some(now), None);
    }

    pub(super) fn counted(&mut self, total: u64, asked_at: UnixMillis, now: UnixMillis) {
        let (before, Some(heard_at)) = (self.count.replace((total, asked_at)), self.heard_at) else { return };
        if before.is_some_and(|(known, since)| known != total && heard_at < since) {
            self.missed_at.get_or_insert(now);
        }
        self.is_deaf = self.missed_at.is_some_and(|at| now - at >= limits::SOCKET_TELLS_WITHIN);
    }

    pub(super) fn is_deaf(&self) -> bool {
        self.is_deaf
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    enum Event {
        Opened,
        Heard,
        Counted(u64),
    }
    use Event::{Counted, Heard, Opened};

    #[test]
    fn a_socket_is_deaf_when_the_count_has_changed_and_nothing_was_said_for_a_while() {
        type Case<'a> = (&'a str, &'a [(u64, Event)], bool);
        let cases: [Case<'_>; 6] = [
            (
                "told of the change",
                &[(0, Opened), (1, Counted(0)), (2, Heard), (3, Counted(1)), (9, Counted(1))],
                false,
            ),
            (
                "told late",
                &[(0, Opened), (1, Counted(0)), (2, Counted(1)), (3, Heard), (9, Counted(1))],
                false,
            ),
            ("not told", &[(0, Opened), (1, Counted(0)), (2, Counted(1)), (9, Counted(1))], true),
            ("not told yet", &[(0, Opened), (1, Counted(0)), (2, Counted(1)), (3, Counted(0))], false),
            ("idle", &[(0, Opened), (1, Counted(0)), (9, Counted(0)), (99, Counted(0))], false),
            ("not open", &[(1, Counted(0)), (2, Counted(1)), (9, Counted(1))], false),
        ];
        for (name, events, deaf) in cases {
            let mut ear = Ear::default();
            for (second, event) in events {
                let now = UnixMillis(second * 1000);
                match event {
                    Opened => ear = Ear::opened(now),
                    Heard => ear.hears(now),
                    Counted(total) => ear.counted(*total, now, now),
                }
            }
            assert_eq!(ear.is_deaf(), deaf, "{name}");
        }
    }
}
