//! The way of a session from the main address to the web interface's own: a secret that is shown once, soon, and then means
//! nothing any more.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::access::{Digest, NoRandom, random_text};
use crate::limits::{TICKET_LASTS, TICKETS};

/// By the hash of the secret: finding one tells by its time nothing of the others.
#[derive(Default)]
pub(super) struct Tickets(Mutex<HashMap<Digest, Ticket>>);

struct Ticket {
    session: Digest,
    made: Instant,
}

impl Ticket {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.made) >= TICKET_LASTS
    }
}

impl Tickets {
    /// For this session. Where there are too many, the oldest is worth nothing any more.
    pub(super) fn issue(&self, session: Digest, now: Instant) -> Result<String, NoRandom> {
        let secret = random_text()?;
        let mut tickets = self.tickets();
        tickets.retain(|_, ticket| !ticket.is_over(now));
        if tickets.len() >= TICKETS {
            let oldest = tickets.iter().min_by_key(|(_, ticket)| ticket.made).map(|(secret, _)| *secret);
            oldest.map(|oldest| tickets.remove(&oldest));
        }
        tickets.insert(Digest::of(secret.as_bytes()), Ticket { session, made: now });
        Ok(secret)
    }

    /// Whose session it is for, once.
    pub(super) fn take(&self, secret: &str, now: Instant) -> Option<Digest> {
        let ticket = self.tickets().remove(&Digest::of(secret.as_bytes()))?;
        (!ticket.is_over(now)).then_some(ticket.session)
    }

    fn tickets(&self) -> MutexGuard<'_, HashMap<Digest, Ticket>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_ticket_is_good_once_and_not_for_long() {
        let (tickets, begin, session) = (Tickets::default(), Instant::now(), Digest::of(b"session"));
        let secret = tickets.issue(session, begin).unwrap();
        assert_eq!(tickets.take("another", begin), None);
        assert_eq!(tickets.take(&secret, begin), Some(session));
        assert_eq!(tickets.take(&secret, begin), None);
        let secret = tickets.issue(session, begin).unwrap();
        assert_eq!(tickets.take(&secret, begin + TICKET_LASTS), None);
    }

    #[test]
    fn there_are_no_more_than_the_bound_and_the_newest_is_good() {
        let (tickets, begin, session) = (Tickets::default(), Instant::now(), Digest::of(b"session"));
        let first = tickets.issue(session, begin).unwrap();
        let later = begin + Duration::from_secs(1);
        let last = (0..TICKETS).map(|_| tickets.issue(session, later).unwrap()).last().unwrap();
        assert_eq!(tickets.tickets().len(), TICKETS);
        assert_eq!((tickets.take(&first, later), tickets.take(&last, later)), (None, Some(session)));
    }
}
