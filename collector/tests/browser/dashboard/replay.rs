//! What a collector of one backend told, told of many, again and again with other figures: the page is given as much to
//! do as by a fleet at work, and the machine is left to the browser that is measured.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use axum::extract::{Path, State};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use futures_util::{Stream, StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::fleet::Fleet;

pub(super) struct Replay {
    /// Without a slash at its end.
    pub(super) address: String,
    told: Arc<Told>,
}

struct Told {
    resync: Value,
    live: Value,
    timeline: Value,
    times: AtomicU64,
}

impl Replay {
    pub(super) async fn of(backends: usize) -> Result<Self> {
        let fleet = Fleet::of(1).await?;
        let (mut resync, mut live) = first_two(&fleet).await?;
        let mut timeline = fleet.get("timeline").await?;
        for told in [&mut resync["backends"], &mut live["backends"]] {
            let row = told[0].clone();
            *told = names(backends).map(|name| with_id(&row, name)).collect();
        }
        let course = timeline["backends"]["gpu-1"].clone();
        timeline["backends"] = names(backends).map(|name| (name, course.clone())).collect();
        let told = Arc::new(Told { resync, live, timeline, times: AtomicU64::new(0) });
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let address = format!("http://{}", listener.local_addr()?);
        let routes = Router::new()
            .route("/orchestrator/", get(|| file("index.html")))
            .route(
                "/orchestrator/assets/{*path}",
                get(|Path(path): Path<String>| async move { file(&path).await }),
            )
            .route("/orchestrator/v1/whoami", get(|| async { json!({"role": "admin"}).to_string() }))
            .route(
                "/orchestrator/v1/timeline",
                get(|State(told): State<Arc<Told>>| async move { told.timeline.to_string() }),
            )
            .route("/orchestrator/v1/events", get(events))
            .with_state(Arc::clone(&told));
        tokio::spawn(async move { axum::serve(listener, routes).await });
        Ok(Self { address, told })
    }

    /// How often figures were told so far.
    pub(super) fn told(&self) -> u64 {
        self.told.times.load(Ordering::Relaxed)
    }
}

fn names(count: usize) -> impl Iterator<Item = String> {
    (1..=count).map(|number| format!("gpu-{number}"))
}

fn with_id(row: &Value, id: String) -> Value {
    let mut row = row.clone();
    row["id"] = Value::String(id);
    row
}

async fn file(path: &str) -> Response {
    let place = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("dashboard").join(path);
    let kind = mime_guess::from_path(path).first_or_octet_stream();
    let content = tokio::fs::read(place).await.unwrap_or_default();
    ([("content-type", kind.to_string())], content).into_response()
}

/// What the real collector tells first.
async fn first_two(fleet: &Fleet) -> Result<(Value, Value)> {
    let answer = reqwest::get(format!("{}/orchestrator/v1/events?live=true", fleet.address)).await?;
    let (mut text, mut bytes) = (String::new(), answer.bytes_stream());
    while text.matches("\n\n").count() < 2 {
        text.push_str(std::str::from_utf8(&bytes.next().await.context("more")??)?);
    }
    let mut data = text.lines().filter_map(|line| line.strip_prefix("data:")).map(serde_json::from_str);
    let [resync, live] = [data.next().context("resync")??, data.next().context("live")??];
    Ok((resync, live))
}

async fn events(State(told): State<Arc<Told>>) -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    let first = Event::default().event("resync").data(told.resync.to_string());
    let live = stream::unfold(0_u64, move |time| {
        let told = Arc::clone(&told);
        async move {
            tokio::time::sleep(Duration::from_secs(u64::from(time > 0))).await;
            told.times.fetch_add(1, Ordering::Relaxed);
            Some((Event::default().event("live").data(changed(&told.live, time).to_string()), time + 1))
        }
    });
    Sse::new(stream::iter([first]).chain(live).map(Ok))
}

/// Every backend has other figures than a second before, and every second one is at a job.
fn changed(live: &Value, time: u64) -> Value {
    let mut live = live.clone();
    let at = live["at"].as_u64().unwrap_or_default() + time * 1000;
    live["at"] = json!(at);
    for (number, backend) in live["backends"].as_array_mut().into_iter().flatten().enumerate() {
        let turn = time + number as u64;
        backend["gpu"]["utilization_ratio"] = json!((turn * 7 % 100) as f64 / 100.0);
        backend["gpu"]["vram_used_bytes"] = json!((1 << 30) + turn * 97 % 12 * (1 << 30));
        backend["gpu"]["temperature_celsius"] = json!(40 + turn * 3 % 40);
        if number % 2 == 0 {
            backend["job"] = json!({
                "id": format!("0a0a0a0a-1111-4222-8333-{number:012}"), "phase": "running", "started_at": at - turn % 30 * 1000,
                "steps_done": turn % 30, "steps": 30, "left_seconds": 30 - turn % 30,
            });
        }
    }
    live
}
