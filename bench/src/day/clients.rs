//! Those who submit: each job when it is due, some with an uploaded picture, some that fail, some taken back; and now and then
//! a look at what came of an earlier one.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde_json::{Value, json};

use super::tenants::Tenants;
use crate::client::Connection;
use crate::fleet::jobs;
use crate::routing::{Job, Workload};
use crate::stage::Collector;

/// Connections over which jobs come.
const CLIENTS: usize = 8;
/// One job in so many...
const UPLOADS: usize = 4;
const FAILS: usize = 50;
const TAKEN_BACK: usize = 25;
const LOOKS: usize = 3;
/// Of which a look is at the oldest.
const REMEMBERED: usize = 50;
/// Names under which pictures are uploaded, again and again, each time with other content.
const NAMES: usize = 200;
const PICTURE_BYTES: usize = 20_000;
/// A picture of one pixel. What comes behind it makes it another file.
const PIXEL: &[u8] = b"\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x02\x00\x00\x00\x90\x77\x53\xde\
    \x00\x00\x00\x0cIDAT\x78\x9c\x63\x70\x68\x38\x00\x00\x02\x84\x01\x81\x26\x97\xa7\x2b\
    \x00\x00\x00\x00IEND\xae\x42\x60\x82";

pub(super) struct Clients<'a> {
    collector: &'a Collector,
    tenants: &'a Tenants,
    workload: &'a Workload,
    speed: f64,
    next: AtomicUsize,
    accepted: AtomicU64,
    uploads: AtomicU64,
    looks: AtomicU64,
}

impl<'a> Clients<'a> {
    pub(super) fn new(
        collector: &'a Collector,
        tenants: &'a Tenants,
        workload: &'a Workload,
        speed: f64,
    ) -> Self {
        let (next, accepted, uploads, looks) = Default::default();
        Self { collector, tenants, workload, speed, next, accepted, uploads, looks }
    }

    pub(super) fn start<'scope>(
        &'scope self,
        scope: &'scope Scope<'scope, '_>,
        begun: Instant,
    ) -> Vec<ScopedJoinHandle<'scope, Result<()>>> {
        (0..CLIENTS).map(|client| scope.spawn(move || self.post(client, begun))).collect()
    }

    pub(super) fn accepted(&self) -> u64 {
        self.accepted.load(Ordering::Relaxed)
    }

    pub(super) fn uploads(&self) -> u64 {
        self.uploads.load(Ordering::Relaxed)
    }

    pub(super) fn looks(&self) -> u64 {
        self.looks.load(Ordering::Relaxed)
    }

    fn post(&self, client: usize, begun: Instant) -> Result<()> {
        let open = || Connection::open_as(self.tenants.token_of(client), self.collector.address());
        let (mut connection, mut earlier) = (open()?, VecDeque::new());
        loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            let Some(job) = self.workload.jobs.get(number) else { return Ok(()) };
            let due = begun + Duration::from_secs_f64(job.arrival / self.speed);
            thread::sleep(due.saturating_duration_since(Instant::now()));
            let picture = if number.is_multiple_of(UPLOADS) {
                Some(self.upload(&mut connection, number)?)
            } else {
                None
            };
            let id = connection.prompt(&body(self.workload, number, job, picture.as_deref()))?;
            self.accepted.fetch_add(1, Ordering::Relaxed);
            if number.is_multiple_of(TAKEN_BACK) {
                connection.post("/queue", &json!({"delete": [&id]}).to_string())?.ok()?;
            }
            earlier.push_back(id);
            if number.is_multiple_of(LOOKS)
                && let Some(id) = earlier.front()
            {
                look(&mut connection, id)?;
                self.looks.fetch_add(1, Ordering::Relaxed);
            }
            if earlier.len() > REMEMBERED {
                earlier.pop_front();
            }
        }
    }

    /// The name that a `LoadImage` uses.
    fn upload(&self, connection: &mut Connection, number: usize) -> Result<String> {
        let name = format!("picture-{}.png", number / UPLOADS % NAMES);
        let mut picture = PIXEL.to_vec();
        picture.extend(number.to_be_bytes());
        picture.resize(PICTURE_BYTES, 0);
        connection.upload(&name, "input", &picture)?.ok()?;
        self.uploads.fetch_add(1, Ordering::Relaxed);
        Ok(name)
    }
}

fn body(workload: &Workload, number: usize, job: &Job, picture: Option<&str>) -> String {
    let mut prompt = jobs::prompt(workload, number, job);
    if let Value::Object(prompt) = &mut prompt {
        let save = |images: &str| json!({"class_type": "SaveImage", "inputs": {"filename_prefix": "day", "images": [images, 0]}});
        if let Some(picture) = picture {
            prompt.insert("4".to_owned(), json!({"class_type": "LoadImage", "inputs": {"image": picture}}));
            prompt.insert("5".to_owned(), save("4"));
        }
        if number % FAILS == 1 {
            let fail = json!({"class_type": "SimFail", "inputs": {"image": ["2", 0], "kind": "value"}});
            prompt.insert("6".to_owned(), fail);
            prompt.insert("7".to_owned(), save("6"));
        }
    }
    json!({"prompt": prompt, "client_id": format!("client-{}", job.client)}).to_string()
}

/// At its history, and at the first file that it made. Its backend may have lost that meanwhile, which the answer says.
fn look(connection: &mut Connection, id: &str) -> Result<()> {
    let answer = connection.get(&format!("/history/{id}"))?.ok()?;
    let history: Value = serde_json::from_slice(&answer.body).context("read a job's history")?;
    let outputs = history.get(id).and_then(|job| job.get("outputs")).and_then(Value::as_object);
    let first = outputs.and_then(|outputs| outputs.values().find_map(|output| output.pointer("/images/0")));
    let Some(file) = first else { return Ok(()) };
    let text = |key: &str| file.get(key).and_then(Value::as_str).unwrap_or_default();
    let path =
        format!("/view?filename={}&subfolder={}&type={}", text("filename"), text("subfolder"), text("type"));
    connection.get(&path).map(drop)
}
