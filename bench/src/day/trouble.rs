//! Backends that die and come back, each with an empty memory and no history.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use crate::routing::Failure;
use crate::stage::Servers;

const LOOK_EVERY: Duration = Duration::from_millis(50);

/// As drawn, until the day is over. How many came back.
pub(super) fn make(
    servers: &Servers,
    failures: &[Failure],
    speed: f64,
    begun: Instant,
    over: &AtomicBool,
) -> Result<u64> {
    let mut turns: Vec<(f64, bool, usize)> = Vec::new();
    for failure in failures {
        turns.extend([(failure.at, false, failure.machine), (failure.until, true, failure.machine)]);
    }
    turns.sort_by(|a, b| a.0.total_cmp(&b.0));
    let mut restarts = 0;
    for (at, comes_back, server) in turns {
        let due = begun + Duration::from_secs_f64(at / speed);
        while Instant::now() < due && !over.load(Ordering::Relaxed) {
            thread::sleep(LOOK_EVERY.min(due.saturating_duration_since(Instant::now())));
        }
        if comes_back {
            servers.restart(server)?;
            restarts += 1;
        } else if !over.load(Ordering::Relaxed) {
            servers.kill(server)?;
        }
    }
    Ok(restarts)
}
