//! What came of freeing one backend, and when it may be tried again. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Reading, Reason};
use crate::clock::UnixMillis;
use crate::limits;

/// Pause after the first time that nothing was freed, and what doubles with each further time.
const AGAIN_AFTER: Duration = Duration::from_secs(60);
const BACK_OFF: Duration = Duration::from_secs(600);
const LONGEST: Duration = Duration::from_secs(24 * 3600);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Asked, and not yet seen what came of it.
    Pending,
    Freed,
    NotFreed,
    /// Nothing tells, or a job began before anything could be told.
    Unverified,
    /// It could not be asked, or refused.
    Failed,
}

/// One time that a backend was asked to free its memory.
#[derive(Clone, Debug, PartialEq)]
pub struct Free {
    /// Counted up from the start of this program.
    pub number: u64,
    pub reason: Reason,
    pub at: UnixMillis,
    pub outcome: Outcome,
    pub before: Option<Reading>,
    pub after: Option<Reading>,
}

/// The last times, the newest last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Frees {
    last: VecDeque<Free>,
    /// Times in a row that nothing was freed.
    not_freed: u32,
    /// Before that it is not tried again, unless somebody asks.
    not_before: UnixMillis,
}

impl Outcome {
    pub const ENDS: [Self; 4] = [Self::Freed, Self::NotFreed, Self::Unverified, Self::Failed];

    pub fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Freed => "freed",
            Self::NotFreed => "not_freed",
            Self::Unverified => "unverified",
            Self::Failed => "failed",
        }
    }
}

impl Free {
    /// `None` where figures tell nothing; 0 where nothing was freed.
    pub fn freed_bytes(&self) -> Option<u64> {
        let (before, after) = self.before.zip(self.after)?;
        Some(before.used_bytes.saturating_sub(after.used_bytes))
    }
}

impl Frees {
    pub fn begin(&mut self, number: u64, reason: Reason, before: Option<Reading>, at: UnixMillis) {
        if self.last.len() == limits::FREES_REMEMBERED {
            self.last.pop_front();
        }
        self.last.push_back(Free { number, reason, at, outcome: Outcome::Pending, before, after: None });
    }

    /// What it was, as it is remembered now. `None`: so many came after it that it is not.
    pub fn end(
        &mut self,
        number: u64,
        outcome: Outcome,
        after: Option<Reading>,
        now: UnixMillis,
    ) -> Option<&Free> {
        match outcome {
            Outcome::Freed => (self.not_freed, self.not_before) = (0, UnixMillis::default()),
            Outcome::NotFreed => {
                self.not_freed = self.not_freed.saturating_add(1);
                self.not_before = now.after(pause(self.not_freed));
            }
            Outcome::Failed => self.not_before = now.after(AGAIN_AFTER),
            Outcome::Pending | Outcome::Unverified => {}
        }
        let free = self.last.iter_mut().find(|free| free.number == number)?;
        (free.outcome, free.after) = (outcome, after);
        Some(free)
    }

    pub fn last(&self) -> impl DoubleEndedIterator<Item = &Free> {
        self.last.iter()
    }

    /// Times in a row that nothing was freed.
    pub fn not_freed(&self) -> u32 {
        self.not_freed
    }

    /// The same, and when it is tried again, once that is worth telling.
    pub fn fails(&self) -> Option<(u32, UnixMillis)> {
        (self.not_freed >= 2).then_some((self.not_freed, self.not_before))
    }

    /// Once since it has been idle, but again after a while where nothing came of that.
    pub fn may_try(&self, idle_since: UnixMillis, now: UnixMillis) -> bool {
        let tried = self.last.back().filter(|free| free.at >= idle_since);
        let is_open = tried.is_none_or(|free| matches!(free.outcome, Outcome::NotFreed | Outcome::Failed));
        is_open && now >= self.not_before
    }
}

fn pause(not_freed: u32) -> Duration {
    match not_freed {
        0 | 1 => AGAIN_AFTER,
        more => BACK_OFF.saturating_mul(1 << (more - 2).min(16)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixMillis = UnixMillis(1_000_000);

    fn tried(frees: &mut Frees, outcome: Outcome, at: UnixMillis) {
        let number = frees.last().last().map_or(1, |last| last.number + 1);
        frees.begin(number, Reason::Idle, None, at);
        frees.end(number, outcome, None, at);
    }

    #[test]
    fn an_idle_backend_is_freed_once_and_again_after_it_has_worked() {
        for outcome in [Outcome::Freed, Outcome::Unverified, Outcome::Pending] {
            let mut frees = Frees::default();
            assert!(frees.may_try(NOW, NOW));
            tried(&mut frees, outcome, NOW);
            assert!(!frees.may_try(NOW, NOW.after(LONGEST)), "{outcome:?}");
            assert!(frees.may_try(UnixMillis(NOW.0 + 1), NOW.after(LONGEST)), "{outcome:?}");
        }
    }

    #[test]
    fn where_nothing_is_freed_it_is_tried_once_more_and_then_ever_more_seldom() {
        let mut frees = Frees::default();
        for (times, seconds) in [(1, 60), (2, 600), (3, 1200), (4, 2400), (30, 24 * 3600)] {
            while frees.not_freed < times {
                tried(&mut frees, Outcome::NotFreed, NOW);
            }
            let at = |seconds: u64| NOW.after(Duration::from_secs(seconds));
            assert!(!frees.may_try(NOW, UnixMillis(at(seconds).0 - 1)), "{times}");
            assert!(frees.may_try(NOW, at(seconds)), "{times}");
            assert!(!frees.may_try(UnixMillis(NOW.0 + 1), NOW), "nor after the next job");
            assert_eq!(frees.fails(), (times >= 2).then(|| (times, at(seconds))));
        }
        tried(&mut frees, Outcome::Freed, NOW);
        assert_eq!((frees.fails(), frees.may_try(UnixMillis(NOW.0 + 1), NOW)), (None, true));
    }

    #[test]
    fn what_could_not_be_asked_is_asked_again_in_a_minute() {
        let mut frees = Frees::default();
        tried(&mut frees, Outcome::Failed, NOW);
        assert!(!frees.may_try(NOW, NOW) && frees.may_try(NOW, NOW.after(AGAIN_AFTER)));
        assert_eq!(frees.fails(), None);
    }

    #[test]
    fn the_last_times_are_remembered_and_no_more() {
        let mut frees = Frees::default();
        for _ in 0..limits::FREES_REMEMBERED + 3 {
            tried(&mut frees, Outcome::Unverified, NOW);
        }
        let numbers: Vec<u64> = frees.last().map(|free| free.number).collect();
        assert_eq!((numbers.len(), numbers[0]), (limits::FREES_REMEMBERED, 4));
        assert!(frees.end(1, Outcome::Freed, None, NOW).is_none());
    }
}
