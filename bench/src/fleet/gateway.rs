//! The whole collector gives the jobs out: clients post each to it when it is due.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

use super::{Given, jobs};
use crate::client::Connection;
use crate::routing::Workload;
use crate::stage::{Collector, Disk, Servers};

/// Connections over which jobs come.
const CLIENTS: usize = 8;

pub(super) fn give(servers: &Servers, workload: &Workload, speed: f64, disk: &Disk) -> Result<Given> {
    let keys =
        format!("route_tempo = {speed:.1}\nroute_overdue_after = \"{}ms\"\n", (300_000.0 / speed) as u64);
    let collector = Collector::with(servers, disk, &keys)?;
    let (next, given) = (AtomicUsize::new(0), Mutex::new(HashMap::new()));
    let begun = Instant::now();
    let client = || -> Result<()> {
        let mut connection = Connection::open(collector.address())?;
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = workload.jobs.get(number) else { return Ok(()) };
            let body = jobs::body(workload, number, job);
            let due = begun + Duration::from_secs_f64(job.arrival / speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let id = connection.prompt(&body)?;
            given.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(id, number);
        }
    };
    thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS).map(|_| scope.spawn(client)).collect();
        clients.into_iter().try_for_each(|client| client.join().map_err(|_| anyhow!("a client was lost"))?)
    })?;
    servers.executed(workload.jobs.len() as u64)?;
    let jobs = given.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    Ok(Given { begun, jobs })
}
