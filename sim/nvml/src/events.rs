//! Event sets: who hears of which XID errors, each once.

use std::time::{Duration, Instant};

use crate::driver::{Driver, Event};
use crate::failure::{Answer, Failure};
use crate::gate::{self, LOOK_PERIOD};
use crate::session::session;

/// GPUs whose errors are waited for.
pub(crate) struct EventSet {
    /// The highest id that was there before the set, or was delivered by it.
    seen: u64,
    uuids: Vec<String>,
}

impl EventSet {
    /// A set that hears of what comes after it.
    pub(crate) fn new(driver: &Driver) -> Self {
        Self { seen: driver.last_event(), uuids: Vec::new() }
    }

    pub(crate) fn register(&mut self, uuid: &str) {
        self.uuids.push(uuid.to_owned());
    }

    /// The oldest event that it has not delivered, with the GPU's UUID.
    fn next<'a>(&mut self, driver: &'a Driver) -> Option<(&'a str, Event)> {
        let newer = driver.events.iter().filter(|event| event.id > self.seen);
        let registered = newer.filter_map(|event| {
            let uuid = driver.gpus.get(event.gpu)?.uuid.as_str();
            self.uuids.iter().any(|one| one == uuid).then_some((uuid, *event))
        });
        let next = registered.min_by_key(|(_, event)| event.id)?;
        self.seen = next.1.id;
        Some(next)
    }
}

/// Waits for the next event of a set: the handle of the GPU, and the error's number.
///
/// # Errors
/// `TIMEOUT`: none came in that time. Else what the call is made to fail with meanwhile.
pub(crate) fn wait(symbol: &str, set: usize, timeout: Duration) -> Answer<(usize, u64)> {
    let begun = Instant::now();
    loop {
        let driver = gate::check(symbol)?;
        let mut session = session();
        if let Some((uuid, event)) = session.sets.get(set)?.next(&driver) {
            return Ok((session.device(uuid), event.xid));
        }
        drop(session);
        let left = timeout.saturating_sub(begun.elapsed());
        if left.is_zero() {
            return Err(Failure::Timeout);
        }
        std::thread::sleep(left.min(LOOK_PERIOD));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_hears_once_of_what_comes_after_it_on_its_gpus() {
        let mut driver = Driver::with_gpus(2);
        driver.report_xid(0, 13);
        let mut set = EventSet::new(&driver);
        set.register(&driver.gpus[0].uuid);
        driver.report_xid(1, 31);
        driver.report_xid(0, 79);
        driver.report_xid(0, 48);
        let mut xid = || set.next(&driver).map(|(_, event)| event.xid);
        assert_eq!([xid(), xid(), xid()], [Some(79), Some(48), None]);
    }
}
