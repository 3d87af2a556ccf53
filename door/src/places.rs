//! How many connections there may be, in all and from one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::Limits;

pub(super) struct Places {
    limits: Limits,
    taken: Arc<Taken>,
}

/// One connection's; dropped, it is free again.
pub(super) struct Place {
    address: IpAddr,
    taken: Arc<Taken>,
}

#[derive(Default)]
struct Taken(Mutex<HashMap<IpAddr, usize>>);

impl Taken {
    fn by_address(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Places {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, taken: Arc::default() }
    }

    /// None where there are too many already.
    pub(super) fn take(&self, address: IpAddr) -> Option<Place> {
        let mut taken = self.taken.by_address();
        let (total, own) = (taken.values().sum::<usize>(), taken.get(&address).copied().unwrap_or(0));
        let own_limit = if address.is_loopback() { self.limits.total } else { self.limits.per_address };
        if total >= self.limits.total || own >= own_limit {
            return None;
        }
        taken.insert(address, own + 1);
        Some(Place { address, taken: Arc::clone(&self.taken) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.by_address();
        let left = taken.get(&self.address).map_or(0, |count| count.saturating_sub(1));
        match left {
            0 => taken.remove(&self.address),
            left => taken.insert(self.address, left),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places() -> Places {
        Places::new(Limits { total: 3, per_address: 2, ..crate::serve::tests::limits() })
    }

    #[test]
    fn a_place_that_was_left_is_free_again() {
        let (places, here) = (places(), IpAddr::from([127, 0, 0, 1]));
        let held: Vec<_> = (0..3).map(|_| places.take(here).unwrap()).collect();
        assert!(places.take(here).is_none());
        drop(held);
        assert!(places.take(here).is_some());
        assert!(places.taken.by_address().is_empty());
    }

    #[test]
    fn one_address_elsewhere_leaves_places_to_the_others() {
        let (places, wild) = (places(), IpAddr::from([192, 0, 2, 1]));
        let _held = [places.take(wild).unwrap(), places.take(wild).unwrap()];
        assert!(places.take(wild).is_none());
        assert!(places.take(IpAddr::from([192, 0, 2, 2])).is_some());
    }
}
