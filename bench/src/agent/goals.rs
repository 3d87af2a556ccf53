//! What the agent promises of its cost, beside what was measured: pure.

use super::hang::Hang;
use super::subject::{JSON, Role};
use super::{Measured, Page};
use crate::goal::{Bound, Goal, MIB, Unit};

const RESIDENT_BYTES: f64 = 6.0 * MIB;
const BINARY_BYTES: f64 = 5.0 * MIB;
const CPU_PERCENT_OF_A_CORE: f64 = 0.2;
const JSON_P99_US: f64 = 1_000.0;
/// The agent's requests a second beside the Python node's.
const MORE_REQUESTS: f64 = 10.0;
/// The Python node's CPU time a request beside the agent's.
const LESS_CPU: f64 = 15.0;
/// The Python node's resident memory beside the agent's.
const LESS_MEMORY: f64 = 6.0;
/// The slowest answer while the driver hangs.
const HANG_US: f64 = 50_000.0;
/// GPU figures are gone within two deadlines of two seconds.
const HANG_GONE_SECONDS: f64 = 4.0;

/// All goals: for every agent that was measured, for one whose driver hangs, and for the program's file.
pub(super) fn goals(programs: &[Measured], hang: Hang, binary_bytes: u64) -> Vec<Goal> {
    let agents = programs.iter().filter(|program| program.role == Role::Agent);
    let each = agents.flat_map(|agent| {
        let python = programs.iter().find(|other| other.role == Role::PythonNode && other.gpus == agent.gpus);
        alone(agent).into_iter().chain(beside(agent, python))
    });
    let binary = Goal::new(
        "size of the binary".to_owned(),
        Unit::Bytes,
        Bound::AtMost(BINARY_BYTES),
        Some(binary_bytes as f64),
    );
    each.chain(hanging(hang)).chain([binary]).collect()
}

fn hanging(hang: Hang) -> [Goal; 2] {
    let slowest = format!("the driver hangs: the slowest of {} answers of all pages", hang.answers);
    [
        Goal::new(slowest, Unit::Microseconds, Bound::AtMost(HANG_US), Some(hang.slowest_us)),
        Goal::new(
            "the driver hangs: GPU figures are gone".to_owned(),
            Unit::Seconds,
            Bound::AtMost(HANG_GONE_SECONDS),
            Some(hang.gone_seconds),
        ),
    ]
}

fn alone(agent: &Measured) -> [Goal; 3] {
    let named = |what: &str| format!("{}: {what}", agent.name);
    let p99 = agent.page(JSON).map(|page| page.latency.p99_us.median);
    let cpu = agent.cpu_share_of_a_core * 100.0;
    let resident = agent.memory.rss_bytes as f64;
    [
        Goal::new(named("resident memory"), Unit::Bytes, Bound::AtMost(RESIDENT_BYTES), Some(resident)),
        Goal::new(
            named("CPU, sampled and scraped"),
            Unit::PercentOfACore,
            Bound::AtMost(CPU_PERCENT_OF_A_CORE),
            Some(cpu),
        ),
        Goal::new(named("p99 of the JSON"), Unit::Microseconds, Bound::AtMost(JSON_P99_US), p99),
    ]
}

fn beside(agent: &Measured, python: Option<&Measured>) -> [Goal; 3] {
    let goal = |what: &str, least: f64, ratio: Option<f64>| {
        Goal::new(format!("{}: {what}", agent.name), Unit::Times, Bound::AtLeast(least), ratio)
    };
    let pages = agent.page(JSON).zip(python.and_then(|python| python.page(JSON)));
    let ratio = |of: fn(&Page, &Page) -> f64| pages.map(|(agent, python)| of(agent, python));
    let requests =
        ratio(|agent, python| agent.load.requests_a_second.median / python.load.requests_a_second.median);
    let cpu = ratio(|agent, python| python.load.cpu_us_a_request.median / agent.load.cpu_us_a_request.median);
    let memory = python.map(|python| python.memory.rss_bytes as f64 / agent.memory.rss_bytes as f64);
    [
        goal("requests a second beside the Python node", MORE_REQUESTS, requests),
        goal("the Python node's CPU time a request beside its own", LESS_CPU, cpu),
        goal("the Python node's resident memory beside its own", LESS_MEMORY, memory),
    ]
}
