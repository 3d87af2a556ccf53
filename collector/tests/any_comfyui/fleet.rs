//! What a fleet promises beyond one ComfyUI: nothing is lost and nothing is done twice, whoever dies.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::batch::{Batch, JOB, a_job_has_just_begun, seeds_in_history};
use crate::client::Client;
use crate::stage::Stage;
use crate::wait::until;

pub(crate) async fn a_dead_backend_is_used_once_it_comes_up(stage: &mut Stage) -> Result<()> {
    stage.collector = None;
    let alive = stage.bare().await?.client;
    let [_, dead] = &mut stage.servers;
    dead.kill()?;
    let dead = dead.client()?;
    let collector = stage.start_collector().await?;
    let client = collector.client()?;
    until("a log line that names the dead backend", Duration::from_secs(20), async || {
        Ok(complaints(&collector.output(), dead.base()).next().map(drop))
    })
    .await?;
    is_up(&client, [true, false]).await?;

    let batch = Batch::submit(&client, 200..202).await?;
    batch.wait_for(batch.len()).await?;
    batch.ensure_all_succeeded().await?;
    let ran = seeds_in_history(&alive).await?;
    ensure!(batch.seeds().all(|seed| ran.contains(&seed)), "ran on the living server: {ran:?}");
    let output = stage.collector()?.output();
    let complaints: Vec<_> = complaints(&output, dead.base()).collect();
    ensure!(complaints.len() == 1, "{complaints:#?}");

    let place = stage.fleet().await?;
    is_up(&place.client, [true, true]).await?;
    let batch = Batch::submit(&place.client, 202..206).await?;
    batch.wait_for(batch.len()).await?;
    batch.ensure_all_succeeded().await?;
    let ran = seeds_in_history(&dead).await?;
    ensure!(batch.seeds().any(|seed| ran.contains(&seed)), "the server that came up was not used: {ran:?}");
    Ok(())
}

/// Waits until the metrics say this of the servers a and b.
async fn is_up(collector: &Client, wanted: [bool; 2]) -> Result<()> {
    let lines = ["a", "b"]
        .into_iter()
        .zip(wanted.map(u8::from))
        .map(|(backend, up)| format!("orchestrator_collector_backend_up{{backend=\"{backend}\"}} {up}"));
    let lines: Vec<_> = lines.collect();
    until(&format!("{lines:?} in the metrics"), Duration::from_secs(20), async || {
        let metrics = collector.text("/metrics").await?;
        Ok(lines.iter().all(|line| metrics.lines().any(|other| other == line)).then_some(()))
    })
    .await
}

/// Warnings and errors that name this backend.
fn complaints<'a>(output: &'a str, url: &'a str) -> impl Iterator<Item = &'a str> {
    let loud = |line: &&str| line.contains("WARN") || line.contains("ERROR");
    output.lines().filter(loud).filter(move |line| line.contains(url))
}

pub(crate) async fn a_restarted_collector_loses_nothing_and_repeats_nothing(stage: &mut Stage) -> Result<()> {
    let place = stage.fleet().await?;
    let [a, b] = &stage.servers;
    let servers = [a.client()?, b.client()?];
    let batch = Batch::submit(&place.client, 300..310).await?;
    batch.wait_for(2).await?;
    a_job_has_just_begun(&servers[0]).await?;

    let collector = stage.collector_mut()?;
    collector.kill()?;
    // What runs now ends while nobody listens.
    for server in &servers {
        idle(server).await?;
    }
    let finished_before = ran_how_often(&servers, &batch).await?;
    ensure!(finished_before.iter().sum::<usize>() < batch.len(), "all ended before the restart");
    collector.start_again().await?;

    batch.wait_for(batch.len()).await?;
    batch.ensure_all_succeeded().await?;
    for seed in batch.seeds() {
        batch.ensure_picture(seed).await?;
    }
    let ran = ran_how_often(&servers, &batch).await?;
    ensure!(ran.iter().all(|times| *times == 1), "how often each job ran: {ran:?}");
    Ok(())
}

async fn idle(server: &Client) -> Result<()> {
    let what = format!("{} to be idle", server.base());
    until(&what, JOB * 5, async || {
        let queue = server.queue().await?;
        Ok((queue.running.is_empty() && queue.pending.is_empty()).then_some(()))
    })
    .await
}

/// For each job of the batch, by what the servers themselves remember.
async fn ran_how_often(servers: &[Client], batch: &Batch) -> Result<Vec<usize>> {
    let mut ran = Vec::new();
    for server in servers {
        ran.extend(seeds_in_history(server).await?);
    }
    Ok(batch.seeds().map(|seed| ran.iter().filter(|other| **other == seed).count()).collect())
}

pub(crate) async fn every_accepted_job_survives_the_death_of_a_server(stage: &mut Stage) -> Result<()> {
    let place = stage.fleet().await?;
    let batch = Batch::submit(&place.client, 400..408).await?;
    let [_, victim] = &mut stage.servers;
    let client = victim.client()?;
    a_job_has_just_begun(&client).await?;
    let made_there = seeds_in_history(&client).await?;
    victim.kill()?;

    batch.wait_for(batch.len()).await?;
    batch.ensure_all_succeeded().await?;
    let (kept, lost): (Vec<_>, Vec<_>) = batch.seeds().partition(|seed| !made_there.contains(seed));
    ensure!(!lost.is_empty(), "the server that died had made no picture");
    for seed in kept {
        batch.ensure_picture(seed).await?;
    }

    // Its disk has survived it.
    stage.fleet().await?;
    for seed in lost {
        let what = format!("the picture of seed {seed}");
        until(&what, Duration::from_secs(20), async || batch.ensure_picture(seed).await.map(Some)).await?;
    }
    Ok(())
}
