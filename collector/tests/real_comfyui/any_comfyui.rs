//! What a client may expect of every ComfyUI, one server or a fleet behind the collector: nothing in here knows which
//! of them it speaks to, but for the number of jobs that run at once.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use image::{Rgb, Rgba, RgbaImage};
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::client::{Client, File, Record};
use crate::prompts::{
    Diffusion, colour_of, copy_of, ensure_plain, ensure_same, gradient, plain_pictures, png, rgba_png,
};
use crate::socket::{Frame, Socket};
use crate::wait::until;

/// Somewhere that answers like a ComfyUI.
pub(crate) struct Place {
    pub(crate) client: Client,
    /// How many jobs run there at once.
    pub(crate) lanes: usize,
}

impl Place {
    /// The same, by the paths that web interfaces use.
    pub(crate) fn under_api(self) -> Result<Self> {
        Ok(Self { client: Client::new(&format!("{}/api", self.client.base()))?, ..self })
    }
}

/// JPEG is not exact.
const PREVIEW_TOLERANCE: u8 = 6;

pub(crate) async fn an_uploaded_picture_comes_back_with_its_pixels(place: &Place) -> Result<()> {
    let (first, second) = (gradient(10), gradient(200));
    let first_name = place.client.upload("uploaded.png", png(&first)?).await?;
    let second_name = place.client.upload("uploaded.png", png(&second)?).await?;
    ensure!(first_name != second_name, "the second upload took the place of the first: {second_name}");
    for (name, picture) in [(first_name, first), (second_name, second)] {
        let file = File { filename: name.clone(), subfolder: String::new(), kind: "input".to_owned() };
        ensure_same(&place.client.picture(&file).await?, &picture, 0)?;
        let record = run(place, "upload", &copy_of(&name, "uploaded")).await?;
        ensure_same(&only_picture(place, &record).await?, &picture, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_mask_becomes_the_alpha_of_the_picture_that_it_is_drawn_on(place: &Place) -> Result<()> {
    let record = run(place, "masked", &plain_pictures(Rgb([200, 30, 90]), 1, "masked")).await?;
    let original = only_file(&record)?;
    let colours = place.client.picture(&original).await?;
    let (width, height) = colours.dimensions();
    let mask = RgbaImage::from_fn(width, height, |x, y| {
        Rgba([1, 2, 3, u8::try_from((x * 7 + y) % 256).unwrap_or_default()])
    });
    let masked = place.client.upload_mask("mask.png", rgba_png(&mask)?, &original).await?;
    let bytes = place.client.file(&masked).await?;
    let made = image::load_from_memory(&bytes)?.into_rgba8();
    for (x, y, Rgba([red, green, blue, alpha])) in made.enumerate_pixels() {
        ensure!(Rgb([*red, *green, *blue]) == *colours.get_pixel(x, y), "the colour at {x}, {y}");
        ensure!(*alpha == mask.get_pixel(x, y).0[3], "the alpha at {x}, {y}");
    }
    let text = String::from_utf8_lossy(&bytes);
    ensure!(text.contains("tEXtprompt"), "the prompt of the original is lost");
    Ok(())
}

pub(crate) async fn a_job_can_load_what_another_has_made(place: &Place) -> Result<()> {
    for round in 0..3 {
        let colour = Rgb([10 + round, 200, 30]);
        let made = only_file(&run(place, "made", &plain_pictures(colour, 1, "made")).await?)?;
        let prompt = copy_of(&made.as_input(), "loaded");
        let record = run(place, "loads", &prompt).await?;
        ensure_plain(&only_picture(place, &record).await?, colour, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_batch_of_pictures_needs_no_model(place: &Place) -> Result<()> {
    let colour = Rgb([200, 30, 90]);
    let record = run(place, "plain", &plain_pictures(colour, 3, "plain")).await?;
    let files = record.files()?;
    ensure!(files.len() == 3, "{files:?}");
    for file in &files {
        ensure_plain(&place.client.picture(file).await?, colour, 1)?;
    }
    Ok(())
}

pub(crate) async fn a_job_tells_its_progress_and_its_result(place: &Place) -> Result<()> {
    let mut stranger = Socket::open(place.client.base(), "stranger").await?;
    let mut socket = Socket::open(place.client.base(), "progress").await?;
    let job = Diffusion { seed: 101, prefix: "progress", ..Diffusion::default() };
    let id = place.client.submit(&job.prompt(), "progress").await?;
    let frames = socket.follow(&id).await?;

    ensure!(position(&frames, "execution_start").is_some(), "{frames:?}");
    ensure!(nodes_executing(&frames) == ["1", "2", "9"], "{:?}", nodes_executing(&frames));
    ensure!(progress(&frames) == [(1, 4), (2, 4), (3, 4), (4, 4)], "{:?}", progress(&frames));
    let previews = frames.iter().filter_map(|frame| match frame {
        Frame::Preview(picture) => Some(picture),
        Frame::Text { .. } => None,
    });
    let previews: Vec<_> = previews.collect();
    ensure!(!previews.is_empty(), "no preview");
    for preview in previews {
        ensure_plain(preview, colour_of(job.seed), PREVIEW_TOLERANCE)?;
    }
    let record = finished(place, &id).await?;
    let told = frames.iter().find_map(|frame| frame.data_of("executed")).context("no executed")?;
    ensure!(told["node"] == "9", "{told}");
    ensure!(told["output"]["images"] == record.0["outputs"]["9"]["images"], "{told} is not {record:?}");
    ensure_plain(&only_picture(place, &record).await?, colour_of(job.seed), 1)?;
    hears_nothing_of(&mut stranger, &id).await
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
    let mut socket = Socket::open(place.client.base(), how).await?;
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

pub(crate) async fn a_running_job_can_be_interrupted(place: &Place) -> Result<()> {
    let mut socket = Socket::open(place.client.base(), "interrupt").await?;
    let job =
        Diffusion { seed: 103, steps: 300, step_seconds: 0.1, prefix: "interrupt", ..Diffusion::default() };
    let id = place.client.submit(&job.prompt(), "interrupt").await?;
    socket.find(|frame| frame.data_of("progress").is_some()).await?;
    ensure!(place.client.record(&id).await?.is_none(), "a running job is in the history");
    interrupt(place, &id).await?;
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
    let long =
        |seed| Diffusion { seed, steps: 300, step_seconds: 0.1, prefix: "delete", ..Diffusion::default() };
    let mut ids = Vec::new();
    for seed in (110..).take(place.lanes) {
        ids.push(client.submit(&long(seed).prompt(), "delete").await?);
    }
    until("all lanes busy", Duration::from_secs(20), async || {
        Ok((client.queue().await?.running.len() == place.lanes).then_some(()))
    })
    .await?;
    let waiting = client.submit(&long(119).prompt(), "delete").await?;
    let queue = client.queue().await?;
    ensure!(queue.pending == [&*waiting] && queue.running.iter().all(|id| ids.contains(id)), "{queue:?}");
    let remaining = client.get("/prompt").await?;
    ensure!(remaining["exec_info"]["queue_remaining"] == place.lanes + 1, "{remaining}");

    client.post_ok("/queue", &json!({"delete": [waiting]})).await?;
    ensure!(client.queue().await?.pending.is_empty(), "{:?}", client.queue().await?);
    for id in &ids {
        interrupt(place, id).await?;
    }
    until("an empty queue", Duration::from_secs(20), async || {
        Ok((client.get("/prompt").await?["exec_info"]["queue_remaining"] == 0).then_some(()))
    })
    .await?;
    ensure!(client.record(&waiting).await?.is_none(), "a job that was deleted while it waited has a history");
    Ok(())
}

/// An older server interrupts whatever runs, which in here is the job meant.
async fn interrupt(place: &Place, id: &str) -> Result<()> {
    place.client.post_ok("/interrupt", &json!({"prompt_id": id})).await.map(drop)
}

pub(crate) async fn prompts_that_cannot_run_are_refused(place: &Place) -> Result<()> {
    let mut unknown_model = Diffusion::default().prompt();
    unknown_model["1"]["inputs"]["ckpt_name"] = json!("no-such-model.safetensors");
    let (status, answer) = place.client.post("/prompt", &json!({"prompt": unknown_model})).await?;
    ensure!(status == StatusCode::BAD_REQUEST, "{status}: {answer}");
    ensure!(answer["error"]["type"] == "prompt_outputs_failed_validation", "{answer}");
    ensure!(answer["node_errors"]["1"]["errors"][0]["type"] == "value_not_in_list", "{answer}");

    for nothing in [json!({"prompt": {}}), json!({})] {
        let (status, answer) = place.client.post("/prompt", &nothing).await?;
        ensure!(status == StatusCode::BAD_REQUEST, "{nothing}: {status}: {answer}");
    }
    Ok(())
}

pub(crate) async fn the_nodes_and_the_devices_are_told(place: &Place) -> Result<()> {
    for path in ["/object_info", "/object_info/SimLoader"] {
        let nodes = place.client.get(path).await?;
        let models = &nodes["SimLoader"]["input"]["required"]["ckpt_name"][0];
        ensure!(
            models.as_array().is_some_and(|models| models.contains(&json!("flux.safetensors"))),
            "{path}"
        );
    }
    let stats = place.client.get("/system_stats").await?;
    let devices = stats["devices"].as_array().context("no devices")?;
    ensure!(devices.len() == place.lanes, "{devices:?}");
    ensure!(devices.iter().all(|device| device["vram_total"].as_u64().is_some_and(|total| total > 0)));
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
    let mut socket = Socket::open(place.client.base(), "load").await?;
    let id = place.client.submit(&job.prompt(), "load").await?;
    socket.find(|frame| frame.data_of("execution_start").is_some()).await?;
    let start = Instant::now();
    socket.find(|frame| frame.data_of("progress").is_some()).await?;
    let time = start.elapsed();
    socket.follow(&id).await?;
    Ok(time)
}

/// Submits it, follows it to its end, and looks it up.
async fn run(place: &Place, client_id: &str, prompt: &Value) -> Result<Record> {
    let mut socket = Socket::open(place.client.base(), client_id).await?;
    let id = place.client.submit(prompt, client_id).await?;
    socket.follow(&id).await?;
    finished(place, &id).await
}

/// Who was told that a job has ended finds it in the history.
async fn finished(place: &Place, id: &str) -> Result<Record> {
    let record = place.client.record(id).await?.with_context(|| format!("{id} is not in the history"))?;
    ensure!(record.is_success(), "{record:?}");
    Ok(record)
}

async fn only_picture(place: &Place, record: &Record) -> Result<image::RgbImage> {
    place.client.picture(&only_file(record)?).await
}

fn only_file(record: &Record) -> Result<File> {
    let files = record.files()?;
    let [file] = &*files else { bail!("not one picture: {files:?}") };
    Ok((*file).clone())
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
