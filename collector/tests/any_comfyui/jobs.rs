//! Jobs, from their submission to what is remembered of them: what a client may expect of every ComfyUI, one server or a
//! fleet behind the collector.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use image::Rgb;
use reqwest::StatusCode;
use serde_json::json;
use tokio::time::Instant;
use uuid::Uuid;

use crate::place::Place;
use crate::prompts::{Diffusion, ensure_preview, ensure_same, picture_of, plain_pictures};
use crate::socket::{Frame, Socket};

pub(crate) async fn a_job_tells_its_progress_and_its_result(place: &Place) -> Result<()> {
    let mut stranger = place.socket("stranger").await?;
    let mut socket = place.socket("progress").await?;
    // Nobody else's loader, so that it is in no server's cache.
    let job = Diffusion { seed: 101, prefix: "progress", load_seconds: 0.0101, ..Diffusion::default() };
    let id = place.client.submit(&job.prompt(), "progress").await?;
    let frames = socket.follow(&id).await?;

    ensure!(position(&frames, "execution_start").is_some(), "{frames:?}");
    ensure!(nodes_executing(&frames) == ["1", "2", "9"], "{:?}", nodes_executing(&frames));
    ensure!(progress(&frames) == [(1, 4), (2, 4), (3, 4), (4, 4)], "{:?}", progress(&frames));
    let previews: Vec<_> = frames.iter().filter_map(Frame::preview).collect();
    ensure!(!previews.is_empty(), "no preview");
    for (picture, metadata) in previews {
        ensure!(metadata.is_none(), "metadata that nobody asked for: {metadata:?}");
        ensure_preview(picture, job.seed)?;
    }
    let record = place.finished(&id).await?;
    let told = frames.iter().find_map(|frame| frame.data_of("executed")).context("no executed")?;
    ensure!(told["node"] == "9", "{told}");
    ensure!(told["output"]["images"] == record.0["outputs"]["9"]["images"], "{told} is not {record:?}");
    ensure_same(&place.only_picture(&record).await?, &picture_of(job.seed), 1)?;
    ensure!(last_words(&frames) == ["status", "executing"], "{:?}", last_words(&frames));
    hears_nothing_of(&mut stranger, &id).await
}

/// The types of the last two frames.
fn last_words(frames: &[Frame]) -> Vec<&str> {
    let kinds: Vec<_> = frames.iter().map(Frame::kind).collect();
    kinds.get(kinds.len().saturating_sub(2)..).unwrap_or_default().to_vec()
}

pub(crate) async fn what_was_made_before_is_not_made_again(place: &Place) -> Result<()> {
    let mut socket = place.socket("cached").await?;
    let prompt = plain_pictures(Rgb([1, 3, 2]), 1, "cached");
    let first = place.client.submit(&prompt, "cached").await?;
    socket.follow(&first).await?;
    let made = place.finished(&first).await?.only_file()?;
    let again = place.client.submit(&prompt, "cached").await?;
    let frames = socket.follow(&again).await?;
    let record = place.finished(&again).await?;
    ensure!(record.only_file()? == made, "{record:?} is not {made:?}");
    ensure!(nodes_executing(&frames).is_empty(), "{frames:?}");
    let told = frames.iter().filter(|frame| frame.data_of("executed").is_some()).count();
    ensure!(told == place.expects(0, 1, 1), "executed was told {told} times");
    Ok(())
}

pub(crate) async fn a_prompt_keeps_the_id_that_its_client_gave(place: &Place) -> Result<()> {
    let id = Uuid::new_v4().to_string();
    let prompt = Diffusion { seed: 134, prefix: "given", ..Diffusion::default() }.prompt();
    let body = json!({"prompt": prompt, "client_id": "given", "prompt_id": id});
    let mut socket = place.socket("given").await?;
    let answer = place.client.post_ok("/prompt", &body).await?;
    let theirs = answer["prompt_id"].as_str().context("no id")?;
    let keeps = theirs == id;
    ensure!(keeps == place.expects(false, true, true), "{answer}");
    socket.follow(theirs).await?;
    place.finished(theirs).await?;

    let again = place.client.post_ok("/prompt", &body).await?;
    let is_new_job = again["number"] != answer["number"];
    ensure!(is_new_job == place.expects(true, true, false), "{again} after {answer}");
    let other = json!({"prompt": prompt, "client_id": "another", "prompt_id": id});
    let (status, answer) = place.client.post("/prompt", &other).await?;
    ensure!(status == place.expects(StatusCode::OK, StatusCode::OK, StatusCode::CONFLICT), "{answer}");
    place.idle().await
}

/// A client that did not submit it hears how long the queue is, and nothing else.
async fn hears_nothing_of(stranger: &mut Socket, id: &str) -> Result<()> {
    loop {
        match stranger.next().await? {
            Frame::Text { kind, data } if kind == "status" => {
                if data["status"]["exec_info"]["queue_remaining"] == 0 {
                    return Ok(());
                }
            }
            frame => bail!("a stranger heard of {id}: {frame:?}"),
        }
    }
}

pub(crate) async fn running_out_of_memory_is_told_and_remembered(place: &Place) -> Result<()> {
    fails(place, "oom", |kind| kind.ends_with("OutOfMemoryError")).await
}

pub(crate) async fn the_exception_of_a_node_is_told_and_remembered(place: &Place) -> Result<()> {
    fails(place, "value", |kind| kind == "ValueError").await
}

async fn fails(place: &Place, how: &str, is_right: impl Fn(&str) -> bool) -> Result<()> {
    let mut socket = place.socket(how).await?;
    let job = Diffusion { seed: 102, steps: 1, prefix: "failing", ..Diffusion::default() };
    let id = place.client.submit(&job.failing_prompt(how), how).await?;
    let frames = socket.follow(&id).await?;
    let told: Vec<_> = frames.iter().filter_map(|frame| frame.data_of("execution_error")).collect();
    let record = place.client.record(&id).await?.context("not in the history")?;
    ensure!(record.is_failure() && record.files()?.is_empty(), "{record:?}");
    let remembered = record.messages("execution_error");
    ensure!(told.len() == 1 && remembered.len() == 1, "told {told:?}, remembered {remembered:?}");
    for error in told.into_iter().chain(remembered) {
        ensure!(error["prompt_id"] == *id && error["node_id"] == "5", "{error}");
        ensure!(error["node_type"] == "SimFail", "{error}");
        ensure!(is_right(error["exception_type"].as_str().unwrap_or_default()), "{error}");
        ensure!(error["exception_message"].as_str().is_some_and(|text| !text.is_empty()), "{error}");
    }
    Ok(())
}

pub(crate) async fn a_loaded_model_is_used_again_until_the_memory_is_freed(place: &Place) -> Result<()> {
    let load = Duration::from_secs(1);
    let mut seed = 120;
    let mut took = async || {
        seed += 1;
        let job = Diffusion {
            model: "wan.safetensors",
            load_seconds: load.as_secs_f64(),
            seed,
            prefix: "free",
            ..Diffusion::default()
        };
        time_to_first_step(place, &job).await
    };
    took().await?;
    let hot = took().await?;
    ensure!(hot < load, "{hot:?} for a model that was just used");
    let both = json!({"unload_models": true, "free_memory": true});
    place.client.post_ok("/free", &both).await?;
    // The server answers before it frees, and may take one more job first.
    let after = [took().await?, took().await?];
    ensure!(after.iter().any(|time| *time >= load), "{after:?} after the memory was freed");
    Ok(())
}

/// From the start of the execution, without the time in the queue.
async fn time_to_first_step(place: &Place, job: &Diffusion) -> Result<Duration> {
    let mut socket = place.socket("load").await?;
    let id = place.client.submit(&job.prompt(), "load").await?;
    socket.find(|frame| frame.data_of("execution_start").is_some()).await?;
    let start = Instant::now();
    socket.find(|frame| frame.data_of("progress").is_some()).await?;
    let time = start.elapsed();
    socket.follow(&id).await?;
    Ok(time)
}

fn position(frames: &[Frame], kind: &str) -> Option<usize> {
    frames.iter().position(|frame| frame.data_of(kind).is_some())
}

fn nodes_executing(frames: &[Frame]) -> Vec<&str> {
    frames.iter().filter_map(|frame| frame.data_of("executing")?["node"].as_str()).collect()
}

fn progress(frames: &[Frame]) -> Vec<(u64, u64)> {
    let told = frames.iter().filter_map(|frame| frame.data_of("progress"));
    told.filter_map(|data| Some((data["value"].as_u64()?, data["max"].as_u64()?))).collect()
}
