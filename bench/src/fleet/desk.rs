//! Another policy gives the jobs out, and posts each to the server that it chooses. It learns of a server's end of a job from
//! the server itself, at once and for nothing, which is to its advantage.

use std::collections::HashMap;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Given, executed, jobs};
use crate::client::Connection;
use crate::routing::{Done, Policy, Sight, Workload};
use crate::stage::{Servers, address};

const LOOK_EVERY: Duration = Duration::from_micros(500);
/// How long nothing may end.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) fn give(
    servers: &Servers,
    workload: &Workload,
    speed: f64,
    mut policy: Box<dyn Policy + '_>,
) -> Result<Given> {
    let count = servers.comfy.len();
    let connections = servers.comfy.iter().map(|server| Connection::open(address(server)?));
    let mut connections: Vec<Connection> = connections.collect::<Result<_>>()?;
    let mut sight = Sight { up: vec![true; count], running: vec![None; count] };
    let (mut ended, mut started) = (vec![0; count], vec![0.0; count]);
    let (mut arrived, mut left, mut given) = (0, workload.jobs.len(), HashMap::new());
    let begun = Instant::now();
    let mut moved = begun;
    while left > 0 {
        let now = begun.elapsed().as_secs_f64() * speed;
        while workload.jobs.get(arrived).is_some_and(|job| job.arrival <= now) {
            policy.arrive(arrived, now, &sight);
            arrived += 1;
            moved = Instant::now();
        }
        let counts = executed(&servers.comfy);
        for machine in (0..count).filter(|machine| counts.get(*machine) > ended.get(*machine)) {
            let job = sight
                .running
                .get_mut(machine)
                .and_then(Option::take)
                .context("a server ran nothing of ours")?;
            let seconds = now - started.get(machine).copied().unwrap_or(now);
            policy.done(Done { job, machine, load_seconds: 0.0, run_seconds: seconds }, now, &sight);
            left -= 1;
            moved = Instant::now();
        }
        ended = counts;
        for (number, machine) in policy.decide(now, &sight) {
            let job = workload.jobs.get(number).context("there is no such job")?;
            let connection = connections.get_mut(machine).context("there is no such machine")?;
            given.insert(connection.prompt(&jobs::body(workload, number, job))?, number);
            if let (Some(running), Some(started)) = (sight.running.get_mut(machine), started.get_mut(machine))
            {
                (*running, *started) = (Some(number), now);
            }
        }
        ensure!(moved.elapsed() < PATIENCE, "{left} jobs did not end within {PATIENCE:?}");
        thread::sleep(LOOK_EVERY);
    }
    Ok(Given { begun, jobs: given })
}
