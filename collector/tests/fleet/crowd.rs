//! A thousand jobs of fifty clients over eight backends that give their pictures the same names: everybody gets what is
//! theirs, in order.

use std::collections::{HashMap, HashSet};

use futures_util::future::join_all;
use serde_json::json;
use sim::Generation;

use super::client::{Client, view_of};
use super::prompts::{expected, picture};
use super::socket::{Frame, Socket};
use super::stage::{NAMES, Stage};

const BACKENDS: usize = 8;
const CLIENTS: u64 = 50;
const JOBS_OF_EACH: u64 = 20;

/// One of the crowd: its jobs by id, with the seed of each.
struct One {
    client: Client,
    socket: Socket,
    seeds: HashMap<String, u64>,
}

impl One {
    async fn join(stage: &Stage, number: u64) -> Self {
        let client = stage.another(&format!("client-{number}"));
        let mut socket = Socket::open(&client).await;
        if number.is_multiple_of(2) {
            socket = socket.with_metadata().await;
        }
        Self { client, socket, seeds: HashMap::new() }
    }

    async fn submit(&mut self, number: u64) {
        for job in 0..JOBS_OF_EACH {
            let seed = number * JOBS_OF_EACH + job;
            // Each asks for a backend: jobs of one model and a few milliseconds are not worth loading it on all of them.
            let wishes = json!({"backend": NAMES[seed as usize % BACKENDS]});
            let asking = json!({"extra_data": {"orchestrator": wishes}});
            self.seeds.insert(self.client.submit_with(&picture(seed), asking).await, seed);
        }
    }

    /// Hears all of its jobs out; gives the frames of each.
    async fn hear(&mut self) -> HashMap<String, Vec<Frame>> {
        let mut heard: HashMap<String, Vec<Frame>> = HashMap::new();
        let mut left: HashSet<String> = self.seeds.keys().cloned().collect();
        while !left.is_empty() {
            let frame = self.socket.next().await.expect("the socket stays open");
            let Some(job) = frame.job() else { continue };
            assert!(self.seeds.contains_key(&job), "a frame of somebody else's job: {frame:?}");
            if frame.ends(&job) {
                left.remove(&job);
            }
            heard.entry(job).or_default().push(frame);
        }
        heard
    }

    /// The name of the picture of each job, as ComfyUI gave it, once it was seen that it is the right one.
    async fn look(&self) -> Vec<String> {
        let pictures = self.seeds.iter().map(async |(id, seed)| {
            let history = self.client.history_of(id).await.expect("what was told as ended is in the history");
            let file = &history["outputs"]["9"]["images"][0];
            assert_eq!(self.client.view(file).await, expected(*seed), "{}", view_of(file));
            file["filename"].as_str().unwrap().to_owned()
        });
        join_all(pictures).await
    }
}

/// In ComfyUI's order: begun first, ended last, and nothing twice that is said once.
fn is_in_order(frames: &[Frame]) {
    let kinds: Vec<&str> = frames.iter().map(Frame::kind).collect();
    assert_eq!(kinds.first(), Some(&"execution_start"), "{kinds:?}");
    for once in ["execution_start", "execution_cached", "executed", "execution_success"] {
        assert_eq!(kinds.iter().filter(|kind| **kind == once).count(), 1, "{once} in {kinds:?}");
    }
    let steps =
        frames.iter().filter(|frame| frame.kind() == "progress").map(|frame| frame.data()["value"].as_u64());
    let steps: Vec<u64> = steps.flatten().collect();
    assert!(steps.is_sorted(), "{steps:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everybody_of_a_crowd_gets_what_is_theirs() {
    let stage = Stage::of(Generation::V0_8, BACKENDS).await;
    let crowd = join_all((0..CLIENTS).map(async |number| {
        let mut one = One::join(&stage, number).await;
        one.submit(number).await;
        one
    }));
    let heard = join_all(crowd.await.into_iter().map(async |mut one| {
        let heard = one.hear().await;
        assert_eq!(heard.len() as u64, JOBS_OF_EACH);
        heard.values().for_each(|frames| is_in_order(frames));
        one.look().await
    }));
    let names: Vec<String> = heard.await.into_iter().flatten().collect();
    let different: HashSet<&String> = names.iter().collect();
    assert_eq!(names.len() as u64, CLIENTS * JOBS_OF_EACH);
    assert!(different.len() < names.len() / 2, "the backends gave equal names: {}", different.len());
    assert!(stage.comfys.iter().all(|comfy| !comfy.state().runs.is_empty()), "all backends worked");
}
