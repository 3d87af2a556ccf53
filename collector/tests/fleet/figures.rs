//! What Prometheus is told of jobs and backends, as things happen to them.

use std::collections::BTreeMap;

use serde_json::json;
use sim::Generation;

use super::client::Client;
use super::prompts::picture;
use super::stage::Stage;
use super::wait::until;

/// The series of one family of the collector's, by what stands between their braces.
async fn series(client: &Client, family: &str) -> BTreeMap<String, f64> {
    let page = client.text("/metrics").await;
    let lines = page.lines().filter_map(|line| {
        let (labels, value) =
            line.strip_prefix("orchestrator_collector_")?.strip_prefix(family)?.rsplit_once(' ')?;
        let labels = if labels.is_empty() { "" } else { labels.strip_prefix('{')?.strip_suffix('}')? };
        Some((labels.to_owned(), value.parse().ok()?))
    });
    lines.collect()
}

async fn value(client: &Client, family: &str) -> f64 {
    series(client, family).await.values().sum()
}

/// Those that are not 0.
async fn some(client: &Client, family: &str) -> Vec<(String, f64)> {
    series(client, family).await.into_iter().filter(|(_, value)| *value != 0.0).collect()
}

fn one(labels: &str, value: f64) -> Vec<(String, f64)> {
    vec![(labels.to_owned(), value)]
}

#[tokio::test]
async fn every_job_is_counted_in_what_it_took_and_in_why_it_went_where_it_went() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let client = &stage.client;
    for seed in 0..6 {
        let id = client.submit(&picture(seed)).await;
        client.succeeded(&id).await;
    }
    let counted = async || (value(client, "job_total_seconds_count").await == 6.0).then_some(());
    until("all are counted", counted).await;
    for family in ["job_wait_seconds_count", "job_run_seconds_count", "decisions_total", "model_loads_total"]
    {
        assert_eq!(value(client, family).await, 6.0, "{family}");
    }
    let loads = series(client, "model_loads_total").await;
    assert_eq!(value(client, "model_load_seconds_count").await, loads["loaded=\"false\""]);
    assert!(loads["loaded=\"true\""] >= 1.0, "{loads:?}");
    let decisions = series(client, "decisions_total").await;
    assert!(decisions["verdict=\"hot\""] >= 1.0 && decisions["verdict=\"cold\""] >= 1.0, "{decisions:?}");
    assert_eq!(value(client, "jobs_waiting").await, 0.0);
    assert!(series(client, "oldest_waiting_job_timestamp_seconds").await.is_empty());
    assert_eq!(value(client, "commit_failures_total").await, 0.0);
}

#[tokio::test]
async fn a_job_that_waits_is_counted_by_what_it_waits_for() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let client = &stage.client;
    stage.comfys[0].hold();
    client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    client.submit(&picture(2)).await;
    assert_eq!(some(client, "jobs_waiting").await, one("reason=\"busy\"", 1.0));
    assert_eq!(some(client, "backend_jobs").await, one("backend=\"a\"", 1.0));
    assert_eq!(series(client, "oldest_waiting_job_timestamp_seconds").await.len(), 1);
    assert_eq!(some(client, "backend_takes_jobs").await, one("backend=\"a\"", 1.0));
    client.post("/orchestrator/v1/backends/a/drain", &json!({})).await;
    let drains = async || {
        let drains = some(client, "backend_draining").await == one("backend=\"a\"", 1.0);
        (drains && some(client, "jobs_waiting").await == one("reason=\"draining\"", 1.0)).then_some(())
    };
    until("it waits for a backend that is drained", drains).await;
    assert_eq!(some(client, "backend_takes_jobs").await, []);
    assert_eq!(some(client, "backend_socket_up").await, one("backend=\"a\"", 1.0));
    stage.comfys[0].release();
}

#[tokio::test]
async fn polls_of_comfyui_and_of_its_agent_are_told_apart() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let client = &stage.client;
    let comfyui = "asked=\"comfyui\",backend=\"a\"";
    let agent = "asked=\"agent\",backend=\"a\"";
    let polled = async || {
        let polls = series(client, "poll_seconds_count").await;
        (polls.get(comfyui)? > &0.0 && polls.get(agent)? > &0.0).then_some(())
    };
    until("both are polled", polled).await;
    // The simulated server is no agent.
    let failed = async || (series(client, "poll_failures_total").await.get(agent)? > &0.0).then_some(());
    until("the agent does not answer", failed).await;
    let observed = series(client, "backend_observed_timestamp_seconds").await;
    assert_eq!(observed.keys().collect::<Vec<_>>(), [comfyui]);
}
