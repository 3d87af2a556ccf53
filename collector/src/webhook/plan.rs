//! Which webhook is sent next: the one due longest, so many at a time, and of each receiver fewer, so that one that hangs
//! does not hold up the others. Pure.

use std::collections::{BTreeMap, HashMap};

use crate::clock::UnixMillis;
use crate::limits;
use crate::queue::WaitingNotice;

#[derive(Default)]
pub(super) struct Plan {
    /// By when they are due, and among equals in their order.
    waiting: BTreeMap<(UnixMillis, u64), WaitingNotice>,
    /// How many are being sent, by receiver.
    under_way: HashMap<String, usize>,
}

impl Plan {
    pub(super) fn put(&mut self, notice: WaitingNotice) {
        self.waiting.insert((notice.due_at, notice.sequence), notice);
    }

    /// One to be sent now; [`Plan::ended`] has to be told of its end.
    pub(super) fn take(&mut self, now: UnixMillis) -> Option<WaitingNotice> {
        let due =
            self.waiting.range(..=(now, u64::MAX)).find(|(_, notice)| self.has_room(&notice.receiver()));
        let key = due.map(|(key, _)| *key)?;
        let notice = self.waiting.remove(&key)?;
        *self.under_way.entry(notice.receiver()).or_default() += 1;
        Some(notice)
    }

    pub(super) fn ended(&mut self, receiver: &str) {
        if let Some(count) = self.under_way.get_mut(receiver) {
            *count -= 1;
            if *count == 0 {
                self.under_way.remove(receiver);
            }
        }
    }

    /// When there is one to be sent, unless the end of another comes first.
    pub(super) fn next_due(&self) -> Option<UnixMillis> {
        let mut waiting = self.waiting.iter();
        waiting.find(|(_, notice)| self.has_room(&notice.receiver())).map(|((due_at, _), _)| *due_at)
    }

    /// Those that wait and those being sent.
    pub(super) fn len(&self) -> usize {
        self.waiting.len() + self.under_way.values().sum::<usize>()
    }

    fn has_room(&self, receiver: &str) -> bool {
        let to_it = self.under_way.get(receiver).copied().unwrap_or(0);
        let in_all: usize = self.under_way.values().sum();
        to_it < limits::WEBHOOKS_A_RECEIVER && in_all < limits::WEBHOOKS_AT_ONCE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::JobId;

    fn notice(sequence: u64, due_at: u64, url: &str) -> WaitingNotice {
        let (due_at, url) = (UnixMillis(due_at), url.parse().unwrap());
        WaitingNotice { sequence, job: JobId::random(), url, created_at: UnixMillis(0), due_at, attempts: 0 }
    }

    fn taken(plan: &mut Plan, now: u64) -> Vec<u64> {
        std::iter::from_fn(|| plan.take(UnixMillis(now))).map(|notice| notice.sequence).collect()
    }

    #[test]
    fn the_one_due_longest_goes_first_and_none_before_it_is_due() {
        let mut plan = Plan::default();
        for (sequence, due_at) in [(1, 30), (2, 10), (3, 10), (4, 50)] {
            plan.put(notice(sequence, due_at, &format!("http://h{sequence}/")));
        }
        assert_eq!((taken(&mut plan, 9), plan.next_due()), (vec![], Some(UnixMillis(10))));
        assert_eq!((taken(&mut plan, 30), plan.next_due()), (vec![2, 3, 1], Some(UnixMillis(50))));
        assert_eq!(plan.len(), 4, "three are under way");
    }

    #[test]
    fn a_receiver_that_hangs_takes_its_own_places_only() {
        let mut plan = Plan::default();
        let most = limits::WEBHOOKS_A_RECEIVER as u64;
        (0..most + 2).for_each(|n| plan.put(notice(n, n, "http://hangs/a")));
        plan.put(notice(100, 100, "http://answers/b"));
        let first: Vec<u64> = (0..most).chain([100]).collect();
        assert_eq!(taken(&mut plan, 200), first);
        assert_eq!(plan.next_due(), None, "until one has ended");
        plan.ended("hangs:80");
        assert_eq!(plan.next_due(), Some(UnixMillis(most)));
        assert_eq!(taken(&mut plan, 200), [most]);
    }

    #[test]
    fn all_receivers_together_have_a_bound_too() {
        let mut plan = Plan::default();
        let most = limits::WEBHOOKS_AT_ONCE as u64;
        (0..most + 5).for_each(|n| plan.put(notice(n, 0, &format!("https://h{n}/"))));
        assert_eq!(taken(&mut plan, 0).len() as u64, most);
        (0..most).for_each(|n| plan.ended(&format!("h{n}:443")));
        assert_eq!((taken(&mut plan, 0).len(), plan.len()), (5, 5));
    }
}
