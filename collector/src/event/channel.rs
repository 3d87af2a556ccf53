//! The way of events to one listener: filled by the hub, emptied by whoever holds the other end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use tokio::sync::Notify;

use super::Event;
use super::outbox::{Outbox, Overflow};

#[derive(Default)]
pub(super) struct Channel {
    outbox: Mutex<Outbox>,
    /// Something is to be sent, or the channel is to be closed.
    stirred: Notify,
    closed: AtomicBool,
}

impl Channel {
    /// Says `Full` once; what comes after that is not kept.
    pub(super) fn push(&self, event: Event) -> Overflow {
        if self.closed.load(Ordering::Relaxed) {
            return Overflow::None;
        }
        let overflow = self.outbox(|outbox| outbox.push(event));
        if overflow == Overflow::Full {
            self.closed.store(true, Ordering::Relaxed);
        }
        self.stirred.notify_one();
        overflow
    }

    /// The next event in order; `None` once the listener was too slow. Cancel-safe.
    pub(super) async fn next(&self) -> Option<Event> {
        loop {
            if self.closed.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(event) = self.outbox(Outbox::pop) {
                return Some(event);
            }
            self.stirred.notified().await;
        }
    }

    fn outbox<T>(&self, act: impl FnOnce(&mut Outbox) -> T) -> T {
        // A poisoned queue is still a queue: nothing in it is left half-changed by a panic.
        act(&mut self.outbox.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
