//! What waits to be sent to one client. Beyond the bound the oldest light event goes; when nothing light is left the
//! heavy ones may grow to a second bound, and then the client has to go.

use std::collections::VecDeque;

use super::Event;
use crate::limits;

#[derive(Debug, Default)]
pub(super) struct Outbox {
    events: VecDeque<Event>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    None,
    /// An older light event was dropped to make room.
    Dropped,
    /// The client does not read what must not be lost.
    Full,
}

impl Outbox {
    pub(super) fn push(&mut self, event: Event) -> Overflow {
        let mut overflow = Overflow::None;
        if self.events.len() >= limits::CLIENT_FRAMES {
            if let Some(oldest) = self.events.iter().position(Event::is_light) {
                self.events.remove(oldest);
                overflow = Overflow::Dropped;
            } else if event.is_light() {
                return Overflow::Dropped;
            } else if self.events.len() >= limits::CLIENT_FRAMES_HARD {
                return Overflow::Full;
            }
        }
        self.events.push_back(event);
        overflow
    }

    pub(super) fn pop(&mut self) -> Option<Event> {
        self.events.pop_front()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_client_loses_progress_before_it_loses_a_result() {
        let mut outbox = Outbox::default();
        for at in 0..limits::CLIENT_FRAMES {
            let event = if at % 2 == 0 { Event::light(at.to_string()) } else { Event::heavy(at.to_string()) };
            assert_eq!(outbox.push(event), Overflow::None);
        }
        assert_eq!(outbox.push(Event::heavy("result")), Overflow::Dropped);
        assert_eq!(outbox.pop(), Some(Event::heavy("1")), "the oldest light one went, the order is kept");
    }

    #[test]
    fn a_client_that_reads_nothing_fills_its_second_bound_and_no_more() {
        let mut outbox = Outbox::default();
        for at in 0..limits::CLIENT_FRAMES_HARD {
            assert_eq!(outbox.push(Event::heavy(at.to_string())), Overflow::None);
        }
        assert_eq!(outbox.push(Event::light("progress")), Overflow::Dropped);
        assert_eq!(outbox.push(Event::heavy("result")), Overflow::Full);
        assert_eq!(outbox.events.len(), limits::CLIENT_FRAMES_HARD);
    }
}
