//! What to ask a backend next, and when. Pure.
//!
//! The count of its queue is cheap and asked often, `/queue` holds whole prompts and is asked only when the count has
//! moved, `/object_info` is large and asked seldom, and so are the lists of model files. A backend that is down is asked for its count only, with pauses
//! that grow to a bound, so that it is used soon after it comes back.

use std::time::Duration;

use crate::clock::UnixMillis;

#[derive(Clone, Copy, Debug)]
pub struct Intervals {
    pub count: Duration,
    pub stats: Duration,
    pub object_info: Duration,
    pub agent: Duration,
    /// Longest pause between two attempts to reach what is down.
    pub longest_pause: Duration,
}

impl Intervals {
    /// All intervals in proportion to that of the count.
    pub fn from_count(count: Duration) -> Self {
        Self { count, stats: count * 10, object_info: count * 60, agent: count * 2, longest_pause: count * 5 }
    }

    /// Pause after so many failures in a row.
    pub fn pause(&self, failures: u32) -> Duration {
        self.count.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(self.longest_pause)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    Count,
    Stats,
    ObjectInfo,
    Models,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Schedule {
    count: Question,
    stats: Question,
    object_info: Question,
    models: Question,
}

/// When it is asked next (at once if it never was), and how often in a row it failed.
#[derive(Clone, Copy, Debug, Default)]
struct Question {
    at: UnixMillis,
    failures: u32,
}

impl Schedule {
    /// The next question and its time; the count first.
    pub(super) fn next(&self) -> (Ask, UnixMillis) {
        let count = (Ask::Count, self.count.at);
        if self.count.failures > 0 || self.count.at == UnixMillis::default() {
            return count;
        }
        let rest = [
            count,
            (Ask::ObjectInfo, self.object_info.at),
            (Ask::Stats, self.stats.at),
            (Ask::Models, self.models.at),
        ];
        rest.into_iter().min_by_key(|(_, at)| *at).unwrap_or(count)
    }

    pub(super) fn answered(&mut self, ask: Ask, now: UnixMillis, intervals: &Intervals) {
        let (question, interval) = match ask {
            Ask::Count => (&mut self.count, intervals.count),
            Ask::Stats => (&mut self.stats, intervals.stats),
            Ask::ObjectInfo => (&mut self.object_info, intervals.object_info),
            Ask::Models => (&mut self.models, intervals.object_info),
        };
        *question = Question { at: now.after(interval), failures: 0 };
    }

    /// A failed count means that the backend is down: once it is back everything is asked anew, for it may be another
    /// process with other models. Any other failure concerns its own question only.
    pub(super) fn failed(&mut self, ask: Ask, now: UnixMillis, intervals: &Intervals) {
        let question = match ask {
            Ask::Count => {
                *self = Self { count: self.count, ..Self::default() };
                &mut self.count
            }
            Ask::Stats => &mut self.stats,
            Ask::ObjectInfo => &mut self.object_info,
            Ask::Models => &mut self.models,
        };
        question.failures = question.failures.saturating_add(1);
        question.at = now.after(intervals.pause(question.failures));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Intervals = Intervals {
        count: Duration::from_secs(1),
        stats: Duration::from_secs(10),
        object_info: Duration::from_secs(60),
        agent: Duration::from_secs(2),
        longest_pause: Duration::from_secs(5),
    };

    #[test]
    fn a_backend_that_answers_is_asked_for_everything_and_then_by_interval() {
        let (mut schedule, mut now, mut asked) = (Schedule::default(), UnixMillis(100), vec![]);
        while now.0 < 12_000 {
            let (ask, at) = schedule.next();
            now = now.max(at);
            schedule.answered(ask, now, &SECOND);
            asked.push(ask);
        }
        assert_eq!(asked[..4], [Ask::Count, Ask::ObjectInfo, Ask::Stats, Ask::Models]);
        let count = |which| asked.iter().filter(|ask| **ask == which).count();
        assert_eq!((count(Ask::Count), count(Ask::Stats)), (13, 2));
        assert_eq!((count(Ask::ObjectInfo), count(Ask::Models)), (1, 1));
    }

    #[test]
    fn pauses_grow_to_their_bound_and_everything_is_asked_anew_afterwards() {
        let mut schedule = Schedule::default();
        schedule.answered(Ask::Count, UnixMillis(0), &SECOND);
        schedule.answered(Ask::ObjectInfo, UnixMillis(0), &SECOND);
        let mut now = UnixMillis(1000);
        let mut pauses = vec![];
        for _ in 0..5 {
            schedule.failed(Ask::Count, now, &SECOND);
            let (ask, at) = schedule.next();
            assert_eq!(ask, Ask::Count);
            pauses.push((at - now).as_secs());
            now = at;
        }
        assert_eq!(pauses, [1, 2, 4, 5, 5]);
        schedule.answered(Ask::Count, now, &SECOND);
        assert_eq!(schedule.next().0, Ask::ObjectInfo);
    }

    #[test]
    fn node_classes_that_cannot_be_read_are_asked_for_with_pauses_and_the_count_goes_on() {
        let mut schedule = Schedule::default();
        schedule.answered(Ask::Count, UnixMillis(1), &SECOND);
        schedule.answered(Ask::Stats, UnixMillis(1), &SECOND);
        let (mut now, mut asked) = (UnixMillis(1), vec![]);
        while now.0 < 9_000 {
            let (ask, at) = schedule.next();
            now = now.max(at);
            match ask {
                Ask::ObjectInfo => {
                    schedule.failed(ask, now, &SECOND);
                    asked.push(now.0 / 1000);
                }
                _ => schedule.answered(ask, now, &SECOND),
            }
        }
        assert_eq!(asked, [0, 1, 3, 7]);
    }
}
