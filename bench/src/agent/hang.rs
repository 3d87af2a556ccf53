//! The agent while its driver hangs: how late its answers are, and how soon GPU figures go and come back.

use std::collections::BTreeSet;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde::Serialize;

use super::subject::{JSON, METRICS, Nvml, Subject};
use crate::process::{LOOK_EVERY, PATIENCE};

const PAGES: [&str; 5] = [JSON, METRICS, "/v1/report", "/-/healthy", "/-/ready"];

/// What was found.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Hang {
    /// From the driver's hanging to the first answer without GPU figures.
    pub(super) gone_seconds: f64,
    /// The slowest answer of all pages meanwhile and afterwards.
    pub(super) slowest_us: f64,
    /// Answers that were waited for.
    pub(super) answers: usize,
    /// From the driver's recovery to the first answer with GPU figures.
    pub(super) back_seconds: f64,
}

pub(super) fn measure(nvml: &Nvml, requests: usize) -> Result<Hang> {
    let mut agent = Subject::agent(Some(nvml))?;
    let mut slowest = Duration::ZERO;
    let began = Instant::now();
    nvml.change(|driver| driver.hang = BTreeSet::from(["*".to_owned()]))?;
    let gone = until(&mut agent, &mut slowest, began, |body| !body.contains("gpu_name"))?;
    for _ in 0..requests {
        for page in PAGES {
            slowest = slowest.max(agent.get(page)?.took);
        }
    }
    let recovered = Instant::now();
    nvml.change(|driver| driver.hang.clear())?;
    let back = until(&mut agent, &mut slowest, recovered, |body| body.contains("gpu_name"))?;
    Ok(Hang {
        gone_seconds: gone.as_secs_f64(),
        slowest_us: slowest.as_secs_f64() * 1e6,
        answers: requests * PAGES.len(),
        back_seconds: back.as_secs_f64(),
    })
}

fn until(
    agent: &mut Subject,
    slowest: &mut Duration,
    began: Instant,
    done: impl Fn(&str) -> bool,
) -> Result<Duration> {
    while began.elapsed() < PATIENCE {
        let answer = agent.get(JSON)?;
        *slowest = (*slowest).max(answer.took);
        if done(&String::from_utf8_lossy(&answer.body)) {
            return Ok(began.elapsed());
        }
        thread::sleep(LOOK_EVERY);
    }
    bail!("the agent has not noticed within {PATIENCE:?} that its driver changed")
}
