//! What the conversion of a workflow takes from this process: its clock on the wall, and chance.

use comfyui::convert::{Interface, LocalTime, Options};
use jiff::Zoned;
use uuid::Uuid;

/// `seed` chooses among the alternatives of a text; without it chance does.
pub(crate) fn options(interface: Interface, seed: Option<u64>) -> Options {
    Options { interface, seed: seed.unwrap_or_else(chance), now: Some(now()) }
}

/// A number that nobody foresees.
fn chance() -> u64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    high ^ low
}

fn now() -> LocalTime {
    let now = Zoned::now();
    LocalTime {
        year: now.year().into(),
        month: now.month().unsigned_abs(),
        day: now.day().unsigned_abs(),
        hour: now.hour().unsigned_abs(),
        minute: now.minute().unsigned_abs(),
        second: now.second().unsigned_abs(),
    }
}
