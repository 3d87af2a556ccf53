//! A real Prometheus on the configurations that people get, with the addresses of a fleet that runs: simulated ComfyUI servers,
//! a real agent beside each, one of them with a GPU, and a real collector that has jobs done. `queries` knows what is asked.

mod fleet;
mod queries;
mod server;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use libtest_mimic::Trial;
use serde_json::Value;
use sim::outside::{Outside, trial};

use self::fleet::Fleet;
pub(crate) use self::queries::expressions;
use self::server::Prometheus;
use super::wait::until;

const PROMETHEUS: Outside = Outside::Program { name: "prometheus", package: "prometheus" };
/// How long it is scraped at least, in seconds, while jobs go on.
const SECONDS: &str = "ORCHESTRATOR_SCRAPED_SECONDS";
/// Shorter than the trial's own, so that what is missing can be told.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn trials() -> Vec<Trial> {
    vec![trial("scraped::prometheus_finds_all_that_dashboards_and_rules_ask_for", PROMETHEUS, |found| {
        let fleet = Fleet::start();
        let program = found.program().ok_or("no program")?;
        let servers =
            [("prometheus.yml", "by the collector's word"), ("prometheus-static.yml", "as written")];
        let servers = servers.map(|(file, how)| (how, Prometheus::start(program, file, &fleet)));
        for (_, server) in &servers {
            server.has_targets(fleet::SERVERS + 1);
        }
        keep_busy(&fleet);
        for (how, server) in &servers {
            judge(server).map_err(|fault| format!("{how}: {fault}"))?;
        }
        Ok(())
    })]
}

/// Jobs end in every way that a figure tells, and some wait until the end.
fn keep_busy(fleet: &Fleet) {
    let seconds = std::env::var(SECONDS).ok().and_then(|text| text.parse().ok()).unwrap_or(0);
    let (began, long) = (Instant::now(), Duration::from_secs(seconds));
    loop {
        fleet.runs_jobs(4);
        if began.elapsed() >= long {
            break;
        }
    }
    fleet.frees_memory();
    fleet.keeps_waiting();
}

fn judge(server: &Prometheus) -> Result<(), String> {
    let (began, mut missing) = (Instant::now(), Vec::new());
    let asked = queries::all();
    let answered = |query: &String| !server.query(query).is_empty() || queries::may_be_empty(query);
    until("every query is answered", || {
        missing = asked.iter().filter(|query| !answered(query)).cloned().collect();
        (missing.is_empty() || began.elapsed() >= PATIENCE).then_some(())
    });
    if !missing.is_empty() {
        return Err(format!("nothing answers {missing:#?}"));
    }
    no_errors(server)?;
    // The one that the fleet has given a reason for.
    let firing = server.query(r#"ALERTS{alertstate="firing"}"#);
    let names: BTreeSet<&str> = firing.iter().filter_map(|one| one["metric"]["alertname"].as_str()).collect();
    if names == BTreeSet::from(["GPUXidError"]) { Ok(()) } else { Err(format!("these fire: {firing:#?}")) }
}

fn no_errors(server: &Prometheus) -> Result<(), String> {
    let targets = server.get("/api/v1/targets?state=active");
    for target in list(&targets["activeTargets"]) {
        if target["health"] != "up" || target["lastError"] != "" {
            return Err(format!("a scrape fails: {target:#}"));
        }
    }
    let failed = server.query("min_over_time(up[1h]) == 0");
    if !failed.is_empty() {
        return Err(format!("a scrape has failed: {failed:#?}"));
    }
    let rules = server.get("/api/v1/rules");
    for rule in list(&rules["groups"]).iter().flat_map(|group| list(&group["rules"])) {
        if rule["health"] != "ok" || rule["lastError"].as_str().is_some_and(|error| !error.is_empty()) {
            return Err(format!("a rule fails: {rule:#}"));
        }
    }
    let failures = server.own("prometheus_rule_evaluation_failures_total");
    if failures.iter().any(|value| *value > 0.0) { Err("rules have failed".to_owned()) } else { Ok(()) }
}

fn list(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}
