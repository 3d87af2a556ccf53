//! How one backend spent its time, in slots of fixed length: the memory is the same however busy it is. Pure.

use std::collections::VecDeque;

use crate::clock::UnixMillis;
use crate::dispatch::Loads;
use crate::limits;

/// Milliseconds of a slot.
pub const SLOT_MILLIS: u64 = 15_000;

/// What a backend does at a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Doing {
    Down,
    Idle,
    /// A job of ours has begun there and its models are not loaded yet, as far as that can be seen.
    Load,
    Run,
    /// It works for somebody who submitted to it directly.
    Others,
}

/// A backend at a moment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sight {
    /// `None`: nothing is known of it yet.
    pub doing: Option<Doing>,
    /// Of its GPU, 0 to 1.
    pub utilization: Option<f64>,
    pub loads: Loads,
}

/// One slot: where nothing was seen, less than its length is accounted for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Slot {
    spent_millis: [u16; 5],
    utilization_known_millis: u16,
    /// Utilization × milliseconds.
    utilized: f32,
    pub loads_caused: u32,
    pub loads_avoided: u32,
}

impl Slot {
    pub fn millis(&self, doing: Doing) -> u64 {
        self.spent_millis.get(doing as usize).copied().unwrap_or_default().into()
    }

    /// The mean over the time in which it was known, 0 to 1.
    pub fn utilization(&self) -> Option<f64> {
        let known = self.utilization_known_millis;
        (known > 0).then(|| (f64::from(self.utilized) / f64::from(known)).clamp(0.0, 1.0))
    }

    fn spend(&mut self, millis: u64, sight: Sight) {
        let millis = u16::try_from(millis).unwrap_or(u16::MAX);
        if let Some(spent) = sight.doing.and_then(|doing| self.spent_millis.get_mut(doing as usize)) {
            *spent = spent.saturating_add(millis);
        }
        if let Some(utilization) = sight.utilization {
            self.utilization_known_millis = self.utilization_known_millis.saturating_add(millis);
            self.utilized += utilization as f32 * f32::from(millis);
        }
    }

    /// A counter that began anew takes nothing away.
    fn count(&mut self, before: Loads, now: Loads) {
        let more = |before: u64, now: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        self.loads_caused = self.loads_caused.saturating_add(more(before.caused, now.caused));
        self.loads_avoided = self.loads_avoided.saturating_add(more(before.avoided, now.avoided));
    }
}

/// The last hour of one backend.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Number of the oldest slot, counted from 1970.
    first: u64,
    slots: VecDeque<Slot>,
    seen: Option<(UnixMillis, Sight)>,
}

impl Course {
    /// What was seen before lasted until now, unless that is longer than anybody looks away.
    pub fn see(&mut self, at: UnixMillis, sight: Sight) {
        let before = self.seen.replace((at, sight));
        let now = self.slot(at.0 / SLOT_MILLIS);
        let Some((from, before)) = before else { return };
        if let Some(slot) = now {
            slot.count(before.loads, sight.loads);
        }
        if at - from <= limits::CHRONICLE_GAP {
            self.spend(from, at, before);
        }
    }

    fn spend(&mut self, from: UnixMillis, to: UnixMillis, sight: Sight) {
        let (mut from, to) = (from.0, to.0);
        while from < to {
            let number = from / SLOT_MILLIS;
            let until = to.min((number + 1) * SLOT_MILLIS);
            if let Some(slot) = self.slot(number) {
                slot.spend(until - from, sight);
            }
            from = until;
        }
    }

    /// Those from this number on, with the number of the first of them.
    pub fn since(&self, number: u64) -> (u64, Vec<Slot>) {
        let skipped = usize::try_from(number.saturating_sub(self.first)).unwrap_or(usize::MAX);
        let slots: Vec<Slot> = self.slots.iter().skip(skipped).copied().collect();
        (self.first.max(number), slots)
    }

    /// The slot of this number, with room made for it; none if it is older than what is kept.
    fn slot(&mut self, number: u64) -> Option<&mut Slot> {
        let last = self.first + self.slots.len() as u64;
        if self.slots.is_empty() || number >= last + limits::CHRONICLE_SLOTS as u64 {
            self.slots.clear();
            self.first = number;
            self.slots.push_back(Slot::default());
        }
        while self.first + self.slots.len() as u64 <= number {
            self.slots.push_back(Slot::default());
        }
        while self.slots.len() > limits::CHRONICLE_SLOTS {
            self.slots.pop_front();
            self.first += 1;
        }
        let at = usize::try_from(number.checked_sub(self.first)?).ok()?;
        self.slots.get_mut(at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sight(doing: Doing) -> Sight {
        Sight { doing: Some(doing), utilization: None, loads: Loads::default() }
    }

    /// Of slots by their number: what they hold of each kind.
    fn spent(course: &Course, doing: Doing) -> Vec<u64> {
        course.since(0).1.iter().map(|slot| slot.millis(doing)).collect()
    }

    #[test]
    fn time_counts_for_what_was_seen_at_its_beginning_and_is_divided_where_a_slot_ends() {
        let mut course = Course::default();
        course.see(UnixMillis(SLOT_MILLIS - 400), sight(Doing::Load));
        course.see(UnixMillis(SLOT_MILLIS + 100), sight(Doing::Run));
        course.see(UnixMillis(SLOT_MILLIS + 300), sight(Doing::Idle));
        assert_eq!(spent(&course, Doing::Load), [400, 100]);
        assert_eq!(spent(&course, Doing::Run), [0, 200]);
        assert_eq!(spent(&course, Doing::Idle), [0, 0]);
    }

    #[test]
    fn what_nobody_looked_at_is_unknown() {
        let mut course = Course::default();
        course.see(UnixMillis(0), sight(Doing::Run));
        let later = UnixMillis(0).after(limits::CHRONICLE_GAP * 3);
        course.see(later, sight(Doing::Idle));
        assert!(spent(&course, Doing::Run).iter().all(|millis| *millis == 0));
        assert_eq!(course.since(0).0, 0);
    }

    #[test]
    fn an_hour_is_kept_and_no_more_and_a_long_silence_leaves_nothing_of_it() {
        let mut course = Course::default();
        for number in 0..limits::CHRONICLE_SLOTS as u64 + 5 {
            course.see(UnixMillis(number * SLOT_MILLIS), sight(Doing::Idle));
        }
        let (first, slots) = course.since(0);
        assert_eq!((first, slots.len()), (5, limits::CHRONICLE_SLOTS));
        let (first, slots) = course.since(first + 10);
        assert_eq!((first, slots.len()), (15, limits::CHRONICLE_SLOTS - 10));
        course.see(UnixMillis(SLOT_MILLIS * 1_000_000), sight(Doing::Idle));
        assert_eq!(course.since(0), (1_000_000, vec![Slot::default()]));
    }

    #[test]
    fn utilization_is_the_mean_of_the_time_in_which_it_was_known() {
        let mut course = Course::default();
        let known = |utilization| Sight { utilization: Some(utilization), ..sight(Doing::Run) };
        course.see(UnixMillis(0), known(1.0));
        course.see(UnixMillis(100), known(0.5));
        course.see(UnixMillis(200), sight(Doing::Run));
        course.see(UnixMillis(900), sight(Doing::Run));
        let (_, slots) = course.since(0);
        assert!((slots[0].utilization().unwrap() - 0.75).abs() < 1e-6);
        assert_eq!(Slot::default().utilization(), None);
    }

    #[test]
    fn loads_count_where_they_were_seen_and_a_new_count_takes_nothing_away() {
        let mut course = Course::default();
        let counted = |caused, avoided| Sight { loads: Loads { caused, avoided }, ..sight(Doing::Idle) };
        course.see(UnixMillis(0), counted(7, 7));
        course.see(UnixMillis(100), counted(8, 10));
        course.see(UnixMillis(200), counted(0, 0));
        let (_, slots) = course.since(0);
        assert_eq!((slots[0].loads_caused, slots[0].loads_avoided), (1, 3));
    }
}
