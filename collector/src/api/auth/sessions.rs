//! Browsers that have logged in. A cookie names a session by a random id that is not the token; kept in memory, so a
//! restart ends all. What opened a session stands behind it: a token, or for the web interface the session at the main address.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::access::{Digest, NoRandom, random_text};
use crate::limits::{SESSION_IDLE, SESSIONS};

/// By the hash of their ids: finding one tells by its time nothing of the others.
#[derive(Default)]
pub(super) struct Sessions(Mutex<HashMap<Digest, Session>>);

struct Session {
    of: Digest,
    used: Instant,
}

impl Session {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.used) >= SESSION_IDLE
    }
}

impl Sessions {
    /// The new session's id. Where there are too many, the one that was left alone longest ends.
    pub(super) fn open(&self, of: Digest, now: Instant) -> Result<String, NoRandom> {
        let id = random_text()?;
        let mut sessions = self.sessions();
        if sessions.len() >= SESSIONS {
            sessions.retain(|_, session| !session.is_over(now));
        }
        if sessions.len() >= SESSIONS {
            let oldest = sessions.iter().min_by_key(|(_, session)| session.used).map(|(id, _)| *id);
            oldest.map(|oldest| sessions.remove(&oldest));
        }
        sessions.insert(Digest::of(id.as_bytes()), Session { of, used: now });
        Ok(id)
    }

    /// What the session was opened by, and the session is used until now. `id`: the hash of what its cookie says.
    pub(super) fn behind(&self, id: &Digest, now: Instant) -> Option<Digest> {
        let mut sessions = self.sessions();
        if sessions.get(id)?.is_over(now) {
            sessions.remove(id);
            return None;
        }
        let session = sessions.get_mut(id)?;
        session.used = now;
        Some(session.of)
    }

    pub(super) fn close(&self, id: &str) {
        self.sessions().remove(&Digest::of(id.as_bytes()));
    }

    fn sessions(&self) -> MutexGuard<'_, HashMap<Digest, Session>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn behind(sessions: &Sessions, id: &str, now: Instant) -> Option<Digest> {
        sessions.behind(&Digest::of(id.as_bytes()), now)
    }

    #[test]
    fn a_session_lasts_as_long_as_it_is_used_and_ends_when_closed() {
        let (sessions, begin, token) = (Sessions::default(), Instant::now(), Digest::of(b"token"));
        let id = sessions.open(token, begin).unwrap();
        let almost = SESSION_IDLE - Duration::from_secs(1);
        assert_eq!(behind(&sessions, &id, begin + almost), Some(token));
        assert_eq!(behind(&sessions, &id, begin + almost * 2), Some(token));
        assert_eq!(behind(&sessions, &id, begin + almost * 2 + SESSION_IDLE), None);
        assert_eq!(behind(&sessions, &id, begin), None, "it does not come back");
        let id = sessions.open(token, begin).unwrap();
        sessions.close(&id);
        assert_eq!(behind(&sessions, &id, begin), None);
    }

    #[test]
    fn there_are_no_more_sessions_than_the_bound_and_the_newest_stays() {
        let (sessions, begin, token) = (Sessions::default(), Instant::now(), Digest::of(b"token"));
        let first = sessions.open(token, begin).unwrap();
        let second = begin + Duration::from_secs(1);
        let last = (0..SESSIONS).map(|_| sessions.open(token, second).unwrap()).last().unwrap();
        assert_eq!(sessions.sessions().len(), SESSIONS);
        assert_eq!(
            (behind(&sessions, &first, second), behind(&sessions, &last, second)),
            (None, Some(token))
        );
    }
}
