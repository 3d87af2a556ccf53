//! Submission: `POST /prompt` over one connection, over many, and at a steady rate. Jobs are held; the collector's answer
//! says that the job is on disk.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::site::{Site, Way};
use crate::client::Connection;
use crate::prompt;
use crate::submit::{CLEAR_EVERY, Run, submit};

pub(super) const CONNECTIONS: usize = 64;
/// Of the steady rate, in submissions a second.
pub(super) const RATE: u32 = 1000;
/// Over which the steady rate is spread.
const STEADY_CONNECTIONS: u32 = 32;
const STEADY_FOR: Duration = Duration::from_secs(5);

/// What one round found on one way.
pub(super) struct Posts {
    pub(super) one: Run,
    pub(super) many: Run,
    /// Each from the moment when it was due.
    pub(super) steady: Run,
}

pub(super) fn measure(site: &Site, way: Way, jobs: usize) -> Result<Posts> {
    let address = site.address(way, 0)?;
    // The collector keeps its queue, whose length hardly matters; a server's own cost grows with it.
    let clears = way != Way::Collector;
    // So that no connection pays for what is made once.
    submit(address, 1, 10, clears)?;
    Ok(Posts {
        one: submit(address, 1, jobs, clears)?,
        many: submit(address, CONNECTIONS, jobs * 4, clears)?,
        steady: steady(address, clears)?,
    })
}

/// Posts at a steady rate whatever the answers take, so that a slow one makes those behind it late as well.
fn steady(address: SocketAddr, clears: bool) -> Result<Run> {
    let interval = Duration::from_secs(1) * STEADY_CONNECTIONS / RATE;
    let each = STEADY_FOR.as_micros() / interval.as_micros();
    let start = Barrier::new(STEADY_CONNECTIONS as usize);
    thread::scope(|scope| {
        let worker = |index: u32| {
            let start = &start;
            let bodies: Vec<String> = (0..each as usize)
                .map(|job| prompt::body(&prompt::text_to_image(index as usize * each as usize + job)))
                .collect();
            scope.spawn(move || {
                let connection = Connection::open(address);
                start.wait();
                let first = Instant::now() + interval * index / STEADY_CONNECTIONS;
                posts(connection?, &bodies, first, interval, clears)
            })
        };
        let workers: Vec<_> = (0..STEADY_CONNECTIONS).map(worker).collect();
        Run::of(workers)
    })
}

fn posts(
    mut connection: Connection,
    bodies: &[String],
    first: Instant,
    interval: Duration,
    clears: bool,
) -> Result<Vec<Duration>> {
    let mut due = first;
    let mut took = Vec::with_capacity(bodies.len());
    for (index, body) in bodies.iter().enumerate() {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        connection.post("/prompt", body)?.ok()?;
        took.push(due.elapsed());
        if clears && index % CLEAR_EVERY == 0 {
            connection.post("/queue", r#"{"clear": true}"#)?.ok()?;
        }
        due += interval;
    }
    Ok(took)
}
