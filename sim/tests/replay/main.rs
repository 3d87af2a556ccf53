//! Every recorded HTTP call, in its order, and every recorded run's frames, against simulated servers of both
//! generations. What is compared is everything but what is of that moment: see `compare.rs`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

#[path = "../client/mod.rs"]
mod client;
mod compare;

use client::{Socket, ends_run, http};
use compare::differences;
use image::{DynamicImage, ImageFormat};
use reqwest::multipart::{Form, Part};
use reqwest::{Method, Response};
use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Generation};

/// Steps at the gate until the sampler is busy: two nodes, two steps.
const STEPS_UNTIL_BUSY: u64 = 4;

/// Steps at the gate before the seventh step of the sampler is told: two nodes, seven steps.
const STEPS_UNTIL_INTERRUPT: u64 = 9;

#[tokio::test]
async fn every_recorded_call_and_frame_of_0_8_comes_out_the_same() {
    Box::pin(replay(Generation::V0_8, include_str!("../transcripts/0.8.0.json"))).await;
}

#[tokio::test]
async fn every_recorded_call_and_frame_of_2024_comes_out_the_same() {
    Box::pin(replay(Generation::V2024, include_str!("../transcripts/2024-03.json"))).await;
}

async fn replay(generation: Generation, transcript: &str) {
    let transcript: Value = serde_json::from_str(transcript).unwrap();
    let mut replay = Replay::start(generation, &transcript).await;
    for call in transcript["http"].as_array().unwrap() {
        replay.call(call).await;
    }
    assert_eq!(replay.runs_compared, transcript["ws"].as_object().unwrap().len());
    assert!(replay.complaints.is_empty(), "{}", replay.complaints.join("\n"));
}

struct Replay<'a> {
    comfy: Comfy,
    transcript: &'a Value,
    /// Recorded prompt ids and what they are here.
    ids: Vec<(String, String)>,
    /// A run whose frames are not read yet.
    open_run: Option<(&'a Value, Socket, Socket)>,
    runs_compared: usize,
    last_number: Value,
    complaints: Vec<String>,
}

impl<'a> Replay<'a> {
    async fn start(generation: Generation, transcript: &'a Value) -> Self {
        let checkpoints = Some(Vec::new());
        let config = ComfyConfig { generation, speed: 100.0, checkpoints, ..ComfyConfig::default() };
        let comfy = Comfy::start(config).await.unwrap();
        Self {
            comfy,
            transcript,
            ids: Vec::new(),
            open_run: None,
            runs_compared: 0,
            last_number: Value::Null,
            complaints: Vec::new(),
        }
    }

    async fn call(&mut self, call: &'a Value) {
        let name = call["name"].as_str().unwrap();
        self.prepare(name, call).await;
        let (recorded, simulated) = self.exchange(call).await;
        self.learn_id(&recorded["json"], &simulated["json"]);
        let recorded = self.translated(&recorded);
        self.complain(name, differences(&recorded, &simulated));
        self.conclude(name).await;
    }

    async fn prepare(&mut self, name: &str, call: &'a Value) {
        match name {
            "queued 0 {}" => {
                self.comfy.hold();
                self.comfy.let_pass(STEPS_UNTIL_BUSY);
            }
            "prompt:interrupted" => {
                self.comfy.hold();
                self.comfy.let_pass(STEPS_UNTIL_INTERRUPT);
            }
            "history of cached rerun" => {
                for run in ["cached first", "cached rerun"] {
                    self.run_apart(&self.transcript["ws"][run]).await;
                }
            }
            _ => {}
        }
        let client_id = &call["request"]["json"]["client_id"];
        let runs = self.transcript["ws"].as_object().unwrap();
        if let Some(run) = runs.values().find(|run| run["client_id"] == *client_id) {
            self.open(run).await;
        }
    }

    async fn conclude(&mut self, name: &str) {
        match name {
            "queued 0 {}" => {
                self.comfy.wait_for(|state| state.steps_done == 2 && state.waits_at_gate).await.unwrap();
            }
            "prompt:interrupted" => {
                self.comfy.wait_for(|state| state.steps_done == 7 && state.waits_at_gate).await.unwrap();
            }
            "interrupt running" | "interrupt global" => {
                self.comfy.release();
                self.settle().await;
            }
            name if name.starts_with("prompt:") => self.settle().await,
            _ => {}
        }
    }

    /// Waits until nothing runs, and compares the frames of the run that was open.
    async fn settle(&mut self) {
        self.comfy.wait_for(|state| state.running.is_none() && state.pending.is_empty()).await.unwrap();
        if let Some((run, mut own, mut other)) = self.open_run.take() {
            let frames = own.until(ends_run).await;
            self.compare_frames(&run["frames"], frames);
            let recorded = run["frames_of_another_client"].as_array().unwrap().len();
            let mut frames = Vec::new();
            for _ in 0..recorded {
                frames.push(other.next().await.unwrap());
            }
            self.compare_frames(&run["frames_of_another_client"], frames);
            self.runs_compared += 1;
        }
    }

    async fn open(&mut self, run: &'a Value) {
        let client_id = run["client_id"].as_str().unwrap();
        let other = Socket::open(&self.comfy.url(), &format!("{client_id}-other")).await;
        let mut own = Socket::open(&self.comfy.url(), client_id).await;
        if !run["feature_flags_sent"].is_null() {
            own.send(&json!({"type": "feature_flags", "data": run["feature_flags_sent"]})).await;
            // Sent before the prompt, but over another connection.
            self.wait_for_flags(&mut own, run).await;
        }
        self.open_run = Some((run, own, other));
    }

    /// 0.8 answers the flags; reads up to the answer and compares it at once.
    async fn wait_for_flags(&mut self, own: &mut Socket, run: &Value) {
        if self.comfy.config().generation == Generation::V0_8 {
            let frames = own.until(|frame| frame["text"]["type"] == "feature_flags").await;
            let recorded = run["frames"].as_array().unwrap().iter().take(frames.len());
            let recorded: Vec<Value> = recorded.map(without_measures).collect();
            self.complain("feature flags", differences(&json!(recorded), &json!(frames)));
        }
    }

    /// A run that the recording made outside its list of calls.
    async fn run_apart(&mut self, run: &'a Value) {
        self.open(run).await;
        let body = json!({"prompt": run["prompt"], "client_id": run["client_id"]});
        let answer = client::submit(&self.comfy.url(), &body).await;
        self.learn_id(&run["response"], &answer);
        self.settle().await;
    }

    fn compare_frames(&mut self, recorded: &Value, simulated: Vec<Value>) {
        let mut recorded = recorded.as_array().unwrap().clone();
        let answered = recorded.iter().position(|frame| frame["text"]["type"] == "feature_flags");
        recorded.drain(..answered.map_or(0, |at| at + 1));
        let recorded: Vec<Value> =
            recorded.iter().map(|frame| self.translated(&without_measures(frame))).collect();
        self.complain("frames", differences(&json!(recorded), &json!(simulated)));
        assert_eq!(client::kinds(&recorded), client::kinds(&simulated));
    }

    async fn exchange(&self, call: &Value) -> (Value, Value) {
        let request = self.translated(&call["request"]);
        let answer = self.ask(&request).await;
        let mut recorded = call["response"].clone();
        let simulated = described(answer, &recorded).await;
        let document = recorded.as_object_mut().unwrap();
        document.shift_remove("bytes");
        // Counted by the recorded server since its own start.
        if call["name"] == "history of cached rerun" {
            for (_, entry) in document["json"].as_object_mut().unwrap() {
                entry["prompt"][0] = self.last_number.clone();
            }
        }
        (recorded, simulated)
    }

    async fn ask(&self, request: &Value) -> Response {
        let url = format!("{}{}", self.comfy.url(), request["path"].as_str().unwrap());
        let method: Method = request["method"].as_str().unwrap().parse().unwrap();
        let mut asked = http().request(method, url);
        if let Some(form) = request.get("form") {
            asked = asked.multipart(multipart(form));
        } else if let Some(raw) = request.get("raw") {
            asked = asked.body(raw.as_str().unwrap().to_owned());
        } else if let Some(body) = request.get("json") {
            asked = asked.json(body);
        }
        asked.send().await.unwrap()
    }

    fn learn_id(&mut self, recorded: &Value, simulated: &Value) {
        if let (Some(recorded), Some(simulated)) =
            (recorded["prompt_id"].as_str(), simulated["prompt_id"].as_str())
        {
            self.ids.push((recorded.to_owned(), simulated.to_owned()));
        }
        if let Some(number) = simulated.get("number") {
            self.last_number = number.clone();
        }
    }

    fn translated(&self, document: &Value) -> Value {
        let mut text = document.to_string();
        for (recorded, simulated) in &self.ids {
            text = text.replace(recorded, simulated);
        }
        serde_json::from_str(&text).unwrap()
    }

    fn complain(&mut self, name: &str, differences: Vec<String>) {
        self.complaints.extend(differences.into_iter().map(|line| format!("{name}: {line}")));
    }
}

/// A recorded frame as the client of these tests describes it.
fn without_measures(frame: &Value) -> Value {
    let mut frame = frame.clone();
    frame.as_object_mut().unwrap().shift_remove("t");
    if let Some(binary) = frame.get_mut("binary").and_then(Value::as_object_mut) {
        binary.shift_remove("bytes");
        binary.shift_remove("head_hex");
    }
    frame
}

/// An answer as the recordings write it, with the body where they have it.
async fn described(answer: Response, recorded: &Value) -> Value {
    let header = |name: &str| answer.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let mut document = json!({"status": answer.status().as_u16(), "content_type": header("content-type")});
    if let Some(disposition) = header("content-disposition") {
        document["content-disposition"] = json!(disposition);
    }
    let bytes = answer.bytes().await.unwrap();
    if recorded.get("json").is_some() {
        document["json"] = serde_json::from_slice(&bytes).unwrap();
    } else if recorded.get("text").is_some() {
        document["text"] = json!(String::from_utf8_lossy(&bytes));
    } else {
        assert!(image::load_from_memory(&bytes).is_ok(), "a picture");
    }
    document
}

fn multipart(form: &Value) -> Form {
    form.as_object().unwrap().iter().fold(Form::new(), |form, (name, value)| match value.as_str() {
        Some(text) => form.text(name.clone(), text.to_owned()),
        None => {
            let filename = value["filename"].as_str().unwrap().to_owned();
            let bytes = picture(value["bytes"].as_u64().unwrap());
            form.part(name.clone(), Part::bytes(bytes).file_name(filename))
        }
    })
}

/// Other bytes for every recorded length.
fn picture(recorded_bytes: u64) -> Vec<u8> {
    let picture = sim::picture::plain(4, 4, u32::try_from(recorded_bytes).unwrap());
    let mut bytes = std::io::Cursor::new(Vec::new());
    DynamicImage::ImageRgb8(picture).write_to(&mut bytes, ImageFormat::Png).unwrap();
    bytes.into_inner()
}
