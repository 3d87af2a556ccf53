//! What a token's jobs may have: so many at a time, so much GPU time; whoever waits behind them is not held up.

use std::path::Path;
use std::time::Duration;

use collector::access::{Fresh, Role};
use collector::tenant::{Allowance, GpuTime};
use serde_json::json;
use sim::{Comfy, Generation};

use super::client::Client;
use super::program::{Program, configuration};
use super::prompts::picture;
use super::stage::{comfy, takes_jobs};
use super::wait::until;

const MINUTE: Duration = Duration::from_secs(60);

fn write(folder: &Path, tokens: &[&Fresh]) {
    let entries: String = tokens.iter().map(|token| token.entry.as_str()).collect();
    std::fs::write(folder.join("tokens.toml"), entries).unwrap();
}

async fn program(comfys: &[Comfy], folder: &Path) -> Program {
    let tokens = format!("token_file = '{}'\n", folder.join("tokens.toml").display());
    Program::configured(&(tokens + &configuration(comfys)), folder).await
}

/// The clients of two tokens, once all backends take jobs.
async fn clients(program: &Program, comfys: &[Comfy], anna: &Fresh, bob: &Fresh) -> [Client; 2] {
    let client = |fresh: &Fresh, id| Client::showing(&program.client.url, id, &fresh.token);
    let clients = [client(anna, "anna"), client(bob, "bob")];
    for name in &super::stage::NAMES[..comfys.len()] {
        takes_jobs(&clients[0], name, true).await;
    }
    clients
}

async fn says(client: &Client, job: &str, wanted: &str) {
    let said = async || {
        let why = client.job(job).await["why_waiting"].clone();
        why.as_object()
            .is_some_and(|why| !why.is_empty() && why.values().all(|why| why == wanted))
            .then_some(())
    };
    until(&format!("job {job} is told that {wanted}"), said).await;
}

#[tokio::test]
async fn a_token_runs_no_more_than_it_may_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let anna = Allowance { max_running: Some(1), ..Allowance::default() };
    let anna = Fresh::make("anna", Role::Submit, &anna).unwrap();
    let bob = Fresh::make("bob", Role::Submit, &Allowance::default()).unwrap();
    write(folder.path(), &[&anna, &bob]);
    let comfys = [comfy(Generation::V0_8).await, comfy(Generation::V0_8).await];
    comfys.iter().for_each(Comfy::hold);
    let program = program(&comfys, folder.path()).await;
    let [anna, bob] = clients(&program, &comfys, &anna, &bob).await;
    let mut hers = Vec::new();
    for seed in 0..3 {
        hers.push(anna.submit(&picture(seed)).await);
    }
    says(&anna, &hers[1], "its token runs as many jobs as it may (1)").await;
    let his = bob.submit(&picture(9)).await;
    let runs = async || (bob.job(&his).await["state"] == "dispatched").then_some(());
    until("his job runs beside hers, before those of hers that came first", runs).await;
    assert_eq!(anna.queue().await.0.len(), 2);
    says(&anna, &hers[2], "its token runs as many jobs as it may (1)").await;
    comfys.iter().for_each(Comfy::release);
    for job in hers.iter().chain([&his]) {
        bob.succeeded(job).await;
    }
}

#[tokio::test]
async fn a_token_that_has_used_its_gpu_time_waits_over_a_restart_too_until_it_is_granted_more() {
    let folder = tempfile::tempdir().unwrap();
    let with = |seconds| {
        let gpu = Some(GpuTime { time: Duration::from_secs(seconds), window: 60 * MINUTE });
        Allowance { gpu, ..Allowance::default() }
    };
    let anna = Fresh::make("anna", Role::Submit, &with(1)).unwrap();
    let bob = Fresh::make("bob", Role::Submit, &Allowance::default()).unwrap();
    write(folder.path(), &[&anna, &bob]);
    let comfys = [comfy(Generation::V0_8).await];
    comfys[0].hold();
    let first = program(&comfys, folder.path()).await;
    let [her, him] = clients(&first, &comfys, &anna, &bob).await;
    let runs = her.submit(&picture(1)).await;
    let waits = her.submit(&picture(2)).await;
    let used = "its token has used the 1 s of GPU time that it may have in 1h";
    says(&her, &waits, used).await;
    comfys[0].release();
    her.succeeded(&runs).await;
    let his = him.submit(&picture(3)).await;
    him.succeeded(&his).await;
    says(&her, &waits, used).await;
    let counted = "orchestrator_collector_gpu_seconds_total{owner=\"anna\"}";
    assert!(him.metric(counted).await.is_some_and(|seconds| seconds >= 1.0));
    first.kill();
    let second = program(&comfys, folder.path()).await;
    let [her, him] = clients(&second, &comfys, &anna, &bob).await;
    let his = him.submit(&picture(4)).await;
    him.succeeded(&his).await;
    says(&her, &waits, used).await;
    let granted = anna.entry.replace("gpu_seconds = 1\n", "gpu_seconds = 1000\n");
    write(folder.path(), &[&Fresh { entry: granted, token: anna.token.clone() }, &bob]);
    second.hang_up();
    her.succeeded(&waits).await;
    assert_eq!(her.get("/queue").await, json!({"queue_running": [], "queue_pending": []}));
}
