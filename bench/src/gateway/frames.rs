//! Frames to a thousand sockets: what all are told, and what each is told of its own job.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use sim::Comfy;

use super::Flow;
use super::crowd::{Crowd, Tally, client_of};
use super::site::{Site, Way};
use crate::client::Connection;
use crate::figures::micros;
use crate::process::{LOOK_EVERY, PATIENCE};
use crate::{prompt, usage};

pub(super) const SOCKETS: usize = 1000;
/// Changes of the queue that all are told of, one after the other.
const CHANGES: u64 = 100;
/// A name that makes a frame of a node's progress 200 bytes long.
const NODE: &str = "a node whose name is so long that a frame of its progress has exactly 200 bytes";
/// Steps of each job, a millisecond each.
const STEPS: u64 = 1000;

/// `status`, which goes to every socket when the number of jobs changes: each change is waited for at all of them.
pub(super) fn to_all(site: &Site, way: Way) -> Result<Flow> {
    let address = site.address(way, 0)?;
    let crowd = Crowd::open(way, SOCKETS, &[address])?;
    let mut connection = Connection::open(address)?;
    let mut submit = |seed| connection.post("/prompt", &prompt::body(&prompt::text_to_image(seed)))?.ok();
    // The first one may begin, which is told as well.
    submit(0)?;
    crowd.settle();
    let before = Moment::now(site, way, &crowd)?;
    for change in 1..=CHANGES {
        submit(change as usize)?;
        crowd.frames(before.heard.frames + change * SOCKETS as u64)?;
    }
    Moment::now(site, way, &crowd)?.since(&before)
}

/// `progress`, which goes to the job's own client: every server runs one job, and as many of the thousand hear of theirs.
pub(super) fn of_own_jobs(site: &Site, way: Way) -> Result<Flow> {
    let servers = site.servers(way);
    servers.iter().for_each(Comfy::hold);
    let addresses = (0..servers.len()).map(|server| site.address(way, server)).collect::<Result<Vec<_>>>()?;
    let crowd = Crowd::open(way, SOCKETS, &addresses)?;
    for (at, address) in addresses.iter().enumerate() {
        let body = prompt::body_for(&client_of(way, at), &format!("s{at}"), &prompt::steps(at, NODE, STEPS));
        Connection::open(*address)?.post("/prompt", &body)?.ok()?;
    }
    all_run(servers)?;
    crowd.settle();
    let before = Moment::now(site, way, &crowd)?;
    servers.iter().for_each(Comfy::release);
    crowd.ends(servers.len() as u64)?;
    let after = Moment::now(site, way, &crowd)?;
    let told = STEPS as f64 * servers.len() as f64;
    Ok(Flow {
        arrived: Some((after.heard.progress - before.heard.progress) as f64 / told),
        ..after.since(&before)?
    })
}

fn all_run(servers: &[Comfy]) -> Result<()> {
    let began = Instant::now();
    while !servers.iter().all(|server| server.running().is_some()) {
        if began.elapsed() > PATIENCE {
            let idle = servers.iter().filter(|server| server.running().is_none()).count();
            bail!("{idle} of {} servers were given no job within {PATIENCE:?}", servers.len());
        }
        thread::sleep(LOOK_EVERY);
    }
    Ok(())
}

/// What was heard and used until now.
struct Moment {
    at: Instant,
    heard: Tally,
    /// Of what stands between, if anything does.
    cpu: Option<Duration>,
}

impl Moment {
    fn now(site: &Site, way: Way, crowd: &Crowd) -> Result<Self> {
        let (at, heard, between) = (Instant::now(), crowd.tally(), site.between(way)?);
        let cpu = if between.is_empty() { None } else { Some(usage::cpu_of_all(&between)?) };
        Ok(Self { at, heard, cpu })
    }

    fn since(&self, before: &Self) -> Result<Flow> {
        let frames = (self.heard.frames - before.heard.frames) as f64;
        let cpu = self.cpu.zip(before.cpu).map(|(after, before)| after.saturating_sub(before));
        if frames == 0.0 {
            bail!("no frame was heard");
        }
        Ok(Flow {
            a_second: frames / (self.at - before.at).as_secs_f64(),
            cpu_us: cpu.map(|cpu| micros(cpu) / frames),
            arrived: None,
            bytes: (self.heard.bytes - before.heard.bytes) as f64 / frames,
        })
    }
}
