//! The figures of agent and collector, beside real servers.

use std::collections::BTreeSet;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use sim::outside::{Found, Outside};

use crate::client::Client;
use crate::stage::Stage;

/// The keys of the Python node that the agent replaces.
const HOST_KEYS: [&str; 3] = ["cpu_utilization", "ram_total", "ram_used"];
const GPU_KEYS: [&str; 5] =
    ["gpu_memory_total", "gpu_memory_used", "gpu_name", "gpu_temperature", "gpu_utilization"];

pub(crate) async fn the_agents_answer_with_exactly_the_keys_of_the_old_node(stage: &mut Stage) -> Result<()> {
    let collector = stage.fleet().await?.client;
    let by_backend = collector.get("/orchestrator/metrics").await?;
    for (server, agent) in stage.servers.iter().zip(&stage.agents) {
        let direct = agent.client()?.get("/orchestrator/metrics").await?;
        let one = collector.get(&format!("/orchestrator/metrics?backend={}", server.name())).await?;
        for document in [&direct, &one, &by_backend[server.name()]] {
            ensure_old_document(document)?;
        }
    }
    Ok(())
}

fn ensure_old_document(document: &Value) -> Result<()> {
    let keys: BTreeSet<_> = document.as_object().context("no object")?.keys().map(String::as_str).collect();
    let host = BTreeSet::from(HOST_KEYS);
    let with_gpu = &host | &BTreeSet::from(GPU_KEYS);
    ensure!(keys == host || keys == with_gpu, "{document}");
    let busy = document["cpu_utilization"].as_f64().context("no number")?;
    ensure!((0.0..=100.0).contains(&busy) && document["cpu_utilization"].is_f64(), "{document}");
    let total = document["ram_total"].as_u64().context("no integer")?;
    let used = document["ram_used"].as_u64().context("no integer")?;
    ensure!(0 < used && used < total, "{document}");
    Ok(())
}

pub(crate) async fn prometheus_finds_nothing_to_complain_about(stage: &mut Stage) -> Result<()> {
    let mut clients = vec![stage.fleet().await?.client];
    for agent in &stage.agents {
        clients.push(agent.client()?);
    }
    for client in clients {
        lint(&client).await.with_context(|| format!("{}/metrics", client.base()))?;
    }
    Ok(())
}

async fn lint(client: &Client) -> Result<()> {
    let metrics = client.text("/metrics").await?;
    let Ok(Found::Program(promtool)) = Outside::Promtool.find() else { anyhow::bail!("promtool went away") };
    let mut child = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()?;
    // Dropped at the end of the statement: promtool reads to the end of its input.
    child.stdin.take().context("no input")?.write_all(metrics.as_bytes())?;
    let output = child.wait_with_output()?;
    let said = [output.stdout, output.stderr].concat();
    ensure!(output.status.success() && said.is_empty(), "{}", String::from_utf8_lossy(&said));
    Ok(())
}
