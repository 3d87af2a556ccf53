//! Wrong tokens, counted by the address that they came from. Beyond a bound nothing more is looked at from there for a
//! while, right or wrong, so that guessing teaches nothing; but who showed a right token from there before is not locked
//! out by a neighbour.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::access::Digest;
use crate::limits::{ADDRESSES_REMEMBERED, WRONG_TOKENS, WRONG_TOKENS_FOR};

#[derive(Default)]
pub(super) struct Attempts(Mutex<Known>);

#[derive(Default)]
struct Known {
    wrong: HashMap<IpAddr, Wrong>,
    proven: HashSet<(IpAddr, Digest)>,
}

struct Wrong {
    first: Instant,
    count: u32,
}

impl Wrong {
    fn remaining(&self, now: Instant) -> Duration {
        WRONG_TOKENS_FOR.saturating_sub(now.saturating_duration_since(self.first))
    }
}

impl Attempts {
    /// How long nothing is looked at from there. None: it is looked at.
    pub(super) fn slowed(&self, address: IpAddr, shown: &Digest, now: Instant) -> Option<Duration> {
        let (known, address) = (self.known(), network(address));
        let wrong = known.wrong.get(&address).filter(|wrong| wrong.count >= WRONG_TOKENS)?;
        let remaining = wrong.remaining(now);
        (!remaining.is_zero() && !known.proven.contains(&(address, *shown))).then_some(remaining)
    }

    pub(super) fn failed(&self, address: IpAddr, now: Instant) {
        let mut known = self.known();
        if known.wrong.len() >= ADDRESSES_REMEMBERED {
            known.wrong.retain(|_, wrong| !wrong.remaining(now).is_zero());
        }
        if known.wrong.len() >= ADDRESSES_REMEMBERED {
            let oldest = known.wrong.iter().min_by_key(|(_, wrong)| wrong.first).map(|(address, _)| *address);
            oldest.map(|oldest| known.wrong.remove(&oldest));
        }
        let wrong = known.wrong.entry(network(address)).or_insert(Wrong { first: now, count: 0 });
        if wrong.remaining(now).is_zero() {
            *wrong = Wrong { first: now, count: 0 };
        }
        wrong.count += 1;
    }

    pub(super) fn proven(&self, address: IpAddr, shown: Digest) {
        let mut known = self.known();
        if known.proven.len() >= ADDRESSES_REMEMBERED {
            known.proven.clear();
        }
        known.proven.insert((network(address), shown));
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whoever has one address of IPv6 commonly has 2^64 of them.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn too_many_wrong_ones_slow_an_address_for_a_while_and_no_other() {
        let (attempts, now, shown) = (Attempts::default(), Instant::now(), Digest::of(b"x"));
        for _ in 0..WRONG_TOKENS {
            assert_eq!(attempts.slowed(ip("192.0.2.1"), &shown, now), None);
            attempts.failed(ip("192.0.2.1"), now);
        }
        assert_eq!(attempts.slowed(ip("192.0.2.1"), &shown, now), Some(WRONG_TOKENS_FOR));
        assert_eq!(attempts.slowed(ip("::ffff:192.0.2.1"), &shown, now), Some(WRONG_TOKENS_FOR));
        assert_eq!(attempts.slowed(ip("192.0.2.2"), &shown, now), None);
        let later = now + WRONG_TOKENS_FOR;
        assert_eq!(attempts.slowed(ip("192.0.2.1"), &shown, later), None);
        attempts.failed(ip("192.0.2.1"), later);
        assert_eq!(attempts.slowed(ip("192.0.2.1"), &shown, later), None);
    }

    #[test]
    fn a_network_of_ipv6_counts_as_one_address() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for last in 0..WRONG_TOKENS {
            attempts.failed(ip(&format!("2001:db8::{last}")), now);
        }
        assert!(attempts.slowed(ip("2001:db8::ffff"), &Digest::of(b"x"), now).is_some());
        assert!(attempts.slowed(ip("2001:db8:0:1::1"), &Digest::of(b"x"), now).is_none());
    }

    #[test]
    fn who_was_right_from_there_before_is_not_locked_out() {
        let (attempts, now, right) = (Attempts::default(), Instant::now(), Digest::of(b"right"));
        attempts.proven(ip("192.0.2.1"), right);
        (0..WRONG_TOKENS).for_each(|_| attempts.failed(ip("192.0.2.1"), now));
        assert_eq!(attempts.slowed(ip("192.0.2.1"), &right, now), None);
        assert!(attempts.slowed(ip("192.0.2.1"), &Digest::of(b"another"), now).is_some());
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let (attempts, now) = (Attempts::default(), Instant::now());
        for number in 0..=ADDRESSES_REMEMBERED as u32 {
            attempts.failed(std::net::Ipv4Addr::from_bits(number).into(), now);
            attempts.proven(std::net::Ipv4Addr::from_bits(number).into(), Digest::of(b"right"));
        }
        let known = attempts.known();
        assert!(known.wrong.len() <= ADDRESSES_REMEMBERED && known.proven.len() <= ADDRESSES_REMEMBERED);
    }
}
