//! The queue and the history: what waits, in which order it runs, how it is stopped, and how it is listed.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use reqwest::StatusCode;
use serde_json::json;

use crate::client::File;
use crate::place::Place;
use crate::prompts::{Diffusion, ensure_same, picture_of};
use crate::wait::until;

/// A job that only an interrupt ends in time.
fn long(seed: u64, prefix: &'static str) -> Diffusion {
    Diffusion { seed, steps: 600, step_seconds: 0.1, prefix, ..Diffusion::default() }
}

/// One job that does not end by itself for every lane, all of them running.
async fn occupy(place: &Place, first_seed: u64, prefix: &'static str) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    for seed in (first_seed..).take(place.lanes) {
        ids.push(place.client.submit(&long(seed, prefix).prompt(), prefix).await?);
    }
    place.all_busy().await?;
    Ok(ids)
}

fn short(seed: u64, prefix: &'static str) -> Diffusion {
    Diffusion { seed, steps: 1, prefix, ..Diffusion::default() }
}

pub(crate) async fn a_running_job_can_be_interrupted(place: &Place) -> Result<()> {
    let mut socket = place.socket("interrupt").await?;
    let id = place.client.submit(&long(103, "interrupt").prompt(), "interrupt").await?;
    socket.find(|frame| frame.data_of("progress").is_some()).await?;
    ensure!(place.client.record(&id).await?.is_none(), "a running job is in the history");
    place.interrupt(&id).await?;
    let frames = socket.follow(&id).await?;
    let told = frames.iter().find_map(|frame| frame.data_of("execution_interrupted"));
    let told = told.with_context(|| format!("no execution_interrupted: {frames:?}"))?;
    ensure!(told["node_id"] == "2" && told["node_type"] == "SimSampler", "{told}");
    let record = place.client.record(&id).await?.context("not in the history")?;
    ensure!(record.is_failure() && record.files()?.is_empty(), "{record:?}");
    Ok(())
}

pub(crate) async fn a_waiting_job_can_be_deleted(place: &Place) -> Result<()> {
    let client = &place.client;
    let ids = occupy(place, 110, "delete").await?;
    let waiting = client.submit(&long(119, "delete").prompt(), "delete").await?;
    let queue = client.queue().await?;
    ensure!(queue.pending == [&*waiting] && queue.running.iter().all(|id| ids.contains(id)), "{queue:?}");
    let remaining = client.get("/prompt").await?;
    ensure!(remaining["exec_info"]["queue_remaining"] == place.lanes + 1, "{remaining}");

    client.post_ok("/queue", &json!({"delete": [waiting]})).await?;
    ensure!(client.queue().await?.pending.is_empty(), "{:?}", client.queue().await?);
    for id in &ids {
        place.interrupt(id).await?;
    }
    place.idle().await?;
    ensure!(client.record(&waiting).await?.is_none(), "a job that was deleted while it waited has a history");
    Ok(())
}

pub(crate) async fn numbers_decide_and_the_last_front_is_the_first(place: &Place) -> Result<()> {
    let running = occupy(place, 140, "long").await?;
    let mut socket = place.socket("order").await?;
    let mut ids = Vec::new();
    for (seed, more) in [
        (150, json!({})),
        (151, json!({"front": true})),
        (152, json!({"number": -1e6})),
        (153, json!({"front": true})),
    ] {
        let mut body = json!({"prompt": short(seed, "order").prompt(), "client_id": "order"});
        body.as_object_mut().context("no object")?.extend(more.as_object().cloned().unwrap_or_default());
        let answer = place.client.post_ok("/prompt", &body).await?;
        ids.push(answer["prompt_id"].as_str().context("no id")?.to_owned());
    }
    place.interrupt(running.first().context("nothing runs")?).await?;
    let wanted: Vec<_> = [2, 3, 1, 0].iter().filter_map(|at| ids.get(*at)).collect();
    for id in wanted {
        let start = socket.find(|frame| frame.data_of("execution_start").is_some()).await?;
        let started = start.data_of("execution_start").map(|data| data["prompt_id"].clone());
        ensure!(
            started.as_ref().is_some_and(|started| started == id),
            "{started:?} began before {id} of {ids:?}"
        );
    }
    for id in running.iter().skip(1) {
        place.interrupt(id).await?;
    }
    place.idle().await
}

pub(crate) async fn the_history_can_be_read_in_parts_and_forgotten(place: &Place) -> Result<()> {
    let mut ids = Vec::new();
    for seed in 160..163 {
        let mut socket = place.socket("history").await?;
        let id = place.client.submit(&short(seed, "history").prompt(), "history").await?;
        socket.follow(&id).await?;
        place.finished(&id).await?;
        ids.push(id);
    }
    let [first, second, third] = &*ids else { bail!("{ids:?}") };
    ensure!(place.client.history_ids("?max_items=1").await? == [third.clone()], "not the newest alone");
    ensure!(
        place.client.history_ids("?max_items=2").await? == [second.clone(), third.clone()],
        "not the newest two"
    );
    place.client.post_ok("/history", &json!({"delete": [second]})).await?;
    ensure!(place.client.record(second).await?.is_none(), "it was deleted");
    ensure!(
        place.client.history_ids("?max_items=2").await? == [first.clone(), third.clone()],
        "not those left"
    );
    place.client.post_ok("/history", &json!({"clear": true})).await?;
    until("an empty history", Duration::from_secs(20), async || {
        Ok(place.client.history_ids("").await?.is_empty().then_some(()))
    })
    .await
}

pub(crate) async fn a_job_is_listed_from_its_queue_to_its_result(place: &Place) -> Result<()> {
    let mut socket = place.socket("listed").await?;
    let id = place.client.submit(&long(170, "listed").prompt(), "listed").await?;
    socket.find(|frame| frame.data_of("progress").is_some()).await?;
    let path = format!("/api/jobs/{id}");
    let (status, running) = place.client.ask(&path).await?;
    ensure!(status == place.expects(StatusCode::NOT_FOUND, StatusCode::OK, StatusCode::OK), "{status}");
    if status == StatusCode::NOT_FOUND {
        place.interrupt(&id).await?;
        return place.idle().await;
    }
    ensure!(running["status"] == "in_progress" && running["outputs_count"] == 0, "{running}");
    ensure!(running["workflow"]["prompt"]["2"]["inputs"]["seed"] == 170, "{running}");
    place.interrupt(&id).await?;
    socket.follow(&id).await?;
    let (_, ended) = place.client.ask(&path).await?;
    let interrupted = ended["status"].as_str().unwrap_or_default();
    // Later versions have a word of their own for it.
    ensure!(["failed", "cancelled"].contains(&interrupted), "{ended}");
    let id = place.client.submit(&short(171, "listed").prompt(), "listed").await?;
    socket.follow(&id).await?;
    let (_, done) = place.client.ask(&format!("/api/jobs/{id}")).await?;
    ensure!(done["status"] == "completed" && done["outputs_count"] == 1, "{done}");
    ensure!(
        done["preview_output"]["nodeId"] == "9" && done["preview_output"]["mediaType"] == "images",
        "{done}"
    );
    let file: File =
        serde_json::from_value(done["preview_output"].clone()).with_context(|| format!("{done}"))?;
    ensure_same(&place.client.picture(&file).await?, &picture_of(171), 1)?;
    let (_, page) = place.client.ask("/api/jobs?status=completed&limit=1").await?;
    ensure!(page["jobs"][0]["id"] == *id && page["pagination"]["limit"] == 1, "{page}");
    Ok(())
}
