//! Memory on real servers: how often models are loaded, what is freed and why, and what is told of it. They have no GPU, so
//! nothing is seen to be freed.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::client::Client;
use crate::prompts::Diffusion;
use crate::server::Server;
use crate::stage::Stage;
use crate::wait::until;

/// In the order of dice.
const MODELS: [&str; 30] = {
    const A: &str = "sd15.safetensors";
    const B: &str = "sdxl.safetensors";
    const C: &str = "flux.safetensors";
    [B, A, C, C, A, B, C, A, A, B, C, B, A, C, B, B, C, A, B, C, A, A, C, B, A, B, C, B, C, A]
};

pub(crate) async fn jobs_of_three_models_load_less_than_half_as_often_as_taken_in_turn(
    stage: &mut Stage,
) -> Result<()> {
    let fleet = stage.fleet().await?.client;
    let [a, b] = &stage.servers;
    let (one, other) = (a.client()?, b.client()?);
    let in_turn = [&one, &other].into_iter().cycle();
    let in_turn = loads_of(&stage.servers, 600, in_turn).await?;
    let ours = loads_of(&stage.servers, 700, std::iter::repeat(&fleet)).await?;
    ensure!(ours >= 1 && ours * 2 < in_turn, "{ours} loads, and {in_turn} where servers take jobs in turn");
    Ok(())
}

/// How often both servers loaded a model for these jobs, each submitted to the next of `to`.
async fn loads_of<'a>(
    servers: &[Server],
    first_seed: u64,
    to: impl Iterator<Item = &'a Client>,
) -> Result<usize> {
    let before = loads(servers);
    let mut jobs = Vec::new();
    for ((model, seed), client) in MODELS.into_iter().zip(first_seed..).zip(to) {
        let load_seconds = 0.5;
        let job = Diffusion { model, load_seconds, seed, steps: 2, prefix: "loads", ..Diffusion::default() };
        jobs.push((client, client.submit(&job.prompt(), "loads").await?));
    }
    for (client, id) in jobs {
        let ended = until("all to end", Duration::from_secs(120), async || client.record(&id).await).await?;
        ensure!(ended.is_success(), "{ended:?}");
    }
    Ok(loads(servers) - before)
}

fn loads(servers: &[Server]) -> usize {
    servers.iter().map(|server| server.output().matches("sim: loads").count()).sum()
}

/// To server a: there the same job finds what was freed.
async fn submit_to_a(client: &Client, prompt: &Value, client_id: &str) -> Result<String> {
    let extra_data = json!({"orchestrator": {"backend": "a"}});
    let body = json!({"prompt": prompt, "client_id": client_id, "extra_data": extra_data});
    let answer = client.post_ok("/prompt", &body).await?;
    Ok(answer["prompt_id"].as_str().context("no prompt_id")?.to_owned())
}

async fn last_free(client: &Client) -> Result<Value> {
    Ok(client.get("/orchestrator/v1/backends/a").await?["frees"][0].clone())
}

pub(crate) async fn a_job_that_ran_out_of_memory_runs_once_that_is_freed(stage: &mut Stage) -> Result<()> {
    let place = stage.fleet().await?;
    let mut socket = place.socket("memory").await?;
    let job = Diffusion { model: "flux.safetensors", seed: 501, prefix: "freed", ..Diffusion::default() };
    let id = submit_to_a(&place.client, &job.failing_prompt("oom until freed"), "memory").await?;
    let frames = socket.follow(&id).await?;
    let told = |kind: &str| frames.iter().filter(|frame| frame.data_of(kind).is_some()).count();
    let course = ["execution_start", "execution_error", "execution_success"].map(told);
    ensure!(course == [1, 0, 1], "{frames:?}");
    let record = place.client.record(&id).await?.context("not in the history")?;
    ensure!(record.is_success() && record.files()?.len() == 1, "{record:?}");
    let attempts = place.client.get(&format!("/orchestrator/v1/jobs/{id}")).await?["attempts"].clone();
    let attempts = attempts.as_array().context("no attempts")?;
    let endings: Vec<_> = attempts.iter().map(|attempt| attempt["ending"].to_string()).collect();
    ensure!(endings.len() == 2 && endings[0].contains("ran out of memory"), "{endings:?}");
    let free = last_free(&place.client).await?;
    ensure!(free["reason"] == "out_of_memory" && free["outcome"] == "unverified", "{free}");
    Ok(())
}

pub(crate) async fn an_idle_server_frees_its_memory_and_that_is_told(stage: &mut Stage) -> Result<()> {
    stage.fleet().await?;
    let client = stage.start_collector_with("free_after_idle = \"2s\"").await?.client()?;
    let job = Diffusion { model: "wan.safetensors", seed: 511, steps: 1, ..Diffusion::default() };
    let id = submit_to_a(&client, &job.prompt(), "idle").await?;
    until("the job to end", Duration::from_secs(60), async || client.record(&id).await).await?;
    until("the idle server to be freed", Duration::from_secs(30), async || {
        let free = last_free(&client).await?;
        Ok((free["reason"] == "idle" && free["outcome"] == "unverified").then_some(()))
    })
    .await?;
    let counted = "orchestrator_collector_frees_total{outcome=\"unverified\",reason=\"idle\"}";
    let metrics = client.text("/metrics").await?;
    ensure!(metrics.lines().any(|line| line.starts_with(counted)), "{metrics}");
    let models = client.get("/orchestrator/v1/backends/a").await?["models"].clone();
    ensure!(models == json!([]), "{models}");
    // The others get a collector of their own again.
    stage.collector = None;
    Ok(())
}
