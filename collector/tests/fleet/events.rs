//! Following one job, or the whole fleet, by server-sent events.

use std::pin::Pin;

use futures_util::{Stream, StreamExt};
use reqwest::Method;
use serde_json::{Value, json};
use sim::Generation;

use super::client::Client;
use super::program::Program;
use super::prompts::{failing, picture};
use super::stage::{BOTH, Stage, comfy, takes_jobs};
use super::wait::PATIENCE;

/// One event as a browser's `EventSource` reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Event {
    pub(crate) kind: String,
    id: String,
    pub(crate) data: Value,
}

pub(crate) struct Events {
    bytes: Pin<Box<dyn Stream<Item = reqwest::Result<bytes::Bytes>> + Send>>,
    text: String,
}

impl Events {
    pub(crate) async fn open(client: &Client, route: &str, last: Option<&str>) -> Self {
        let request = client.request(Method::GET, route);
        let request = last.into_iter().fold(request, |request, id| request.header("Last-Event-ID", id));
        let answer = request.send().await.unwrap();
        assert_eq!(
            (answer.status().as_u16(), &answer.headers()["content-type"]),
            (200, &"text/event-stream".parse().unwrap())
        );
        Self { bytes: Box::pin(answer.bytes_stream()), text: String::new() }
    }

    /// `None`: the stream has ended.
    pub(crate) async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (read(event), rest.to_owned());
                self.text = rest;
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let chunk = tokio::time::timeout(PATIENCE, self.bytes.next()).await.expect("an event in time")?;
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()).unwrap());
        }
    }

    /// Up to and with the first that is meant.
    pub(crate) async fn until(&mut self, meant: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.next().await {
            events.push(event.clone());
            if meant(&event) {
                return events;
            }
        }
        panic!("the stream ended after {events:#?}");
    }
}

/// `None` for a comment.
fn read(event: &str) -> Option<Event> {
    let field =
        |name: &str| event.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default().trim();
    let data = serde_json::from_str(field("data:")).ok()?;
    Some(Event { kind: field("event:").to_owned(), id: field("id:").to_owned(), data })
}

fn route_of(id: &str) -> String {
    format!("/orchestrator/v1/jobs/{id}/events")
}

#[tokio::test]
async fn a_job_is_followed_from_where_it_stands_to_its_end() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        stage.comfys[0].hold();
        let first = stage.client.submit(&picture(1)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        // Nobody listens to this one's WebSocket.
        let (_, answer) = stage.client.post("/prompt", &json!({"prompt": picture(2)})).await;
        let id = answer["prompt_id"].as_str().unwrap();
        let mut events = Events::open(&stage.client, &route_of(id), None).await;
        let waiting = events.next().await.unwrap();
        assert_eq!((waiting.kind.as_str(), &waiting.data), ("state", &json!({"id": id, "state": "waiting"})));
        stage.comfys[0].release();
        let heard = events.until(|event| event.data["state"] == "succeeded").await;
        assert_eq!(events.next().await, None, "its end is the stream's");
        let dispatched = json!({"id": id, "state": "dispatched", "backend": "a", "attempt": 1});
        assert_eq!(heard.iter().filter(|event| event.data == dispatched).count(), 1, "{heard:#?}");
        let progress: Vec<&Value> = heard.iter().filter(|e| e.kind == "progress").map(|e| &e.data).collect();
        assert!(progress.iter().any(|message| message["type"] == "progress"), "{heard:#?}");
        assert!(
            progress.iter().all(|message| message["data"]["prompt_id"].as_str().is_none_or(|of| of == id))
        );
        assert!(heard.last().unwrap().data["ended_at"].is_u64());

        let mut again = Events::open(&stage.client, &route_of(&first), None).await;
        assert_eq!(again.next().await.unwrap().data["state"], "succeeded");
        assert_eq!(again.next().await, None);
    }
}

#[tokio::test]
async fn a_job_that_fails_or_is_cancelled_ends_its_stream_and_an_unknown_one_has_none() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit(&failing("value")).await;
    let mut events = Events::open(&stage.client, &route_of(&id), None).await;
    events.until(|event| event.data["state"] == "failed").await;
    assert_eq!(events.next().await, None);

    stage.comfys[0].hold();
    stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let id = stage.client.submit(&picture(2)).await;
    let mut events = Events::open(&stage.client, &route_of(&id), None).await;
    assert_eq!(events.next().await.unwrap().data["state"], "waiting");
    stage.client.post("/queue", &json!({"delete": [id]})).await;
    assert_eq!(events.next().await.unwrap().data["state"], "cancelled");
    assert_eq!(events.next().await, None);

    for unknown in ["0a0a0a0a-1111-4222-8333-444444444444", "nonsense"] {
        let (status, refused) = stage.client.ask(&route_of(unknown)).await;
        assert_eq!((status, &refused["error"]["type"]), (404, &json!("not_found")));
    }
}

#[tokio::test]
async fn a_dashboard_hears_of_backends_counts_and_jobs_and_goes_on_after_a_break() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let route = "/orchestrator/v1/events";
    let mut events = Events::open(&stage.client, route, None).await;
    let whole = events.next().await.unwrap();
    assert_eq!(
        (whole.kind.as_str(), &whole.data["counts"]),
        ("resync", &json!({"waiting": 0, "dispatched": 0}))
    );
    assert_eq!(
        (&whole.data["backends"][0]["id"], &whole.data["backends"][0]["takes_jobs"]),
        (&json!("a"), &json!(true))
    );

    let id = stage.client.submit(&picture(1)).await;
    let heard = events.until(|event| event.kind == "job" && event.data["state"] == "succeeded").await;
    let states: Vec<&Value> =
        heard.iter().filter(|e| e.kind == "job" && e.data["id"] == id).map(|e| &e.data["state"]).collect();
    assert_eq!(states, ["waiting", "dispatched", "succeeded"]);
    assert!(!format!("{heard:?}").contains("SimSampler"), "no prompts");
    let last = heard.last().unwrap().id.clone();
    drop(events);

    stage.client.post("/orchestrator/v1/backends/a/drain", &json!({})).await;
    let mut back = Events::open(&stage.client, route, Some(&last)).await;
    let heard = back.until(|event| event.data["drain"]["state"] == "drained").await;
    assert!(heard.iter().all(|event| event.kind != "resync"), "{heard:#?}");
    let other = comfy(Generation::V0_8).await;
    let backend = json!({"url": other.url(), "name": "b", "agent": other.url()});
    stage.client.post("/orchestrator/v1/backends", &backend).await;
    takes_jobs(&stage.client, "b", true).await;
    back.until(|event| event.data["id"] == "b" && event.data["takes_jobs"] == true).await;
    stage.client.delete("/orchestrator/v1/backends/b").await;
    back.until(|event| event.kind == "backend_removed" && event.data["id"] == "b").await;

    let mut lost = Events::open(&stage.client, route, Some("1-1")).await;
    assert_eq!(lost.next().await.unwrap().kind, "resync", "of another run");
}

#[tokio::test]
async fn an_open_stream_does_not_keep_the_program_from_stopping() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let program = Program::start(&comfys, state.path()).await;
    let mut events = Events::open(&program.client, "/orchestrator/v1/events", None).await;
    assert_eq!(events.next().await.unwrap().kind, "resync");
    assert_eq!(program.stop().await, 0);
    while let Some(event) = events.next().await {
        assert_ne!(event.kind, "resync");
    }
}
