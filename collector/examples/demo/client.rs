//! A client of the collector: what it asks and how it reads the answers. ComfyUI's own routes are those of any ComfyUI
//! client; those under `/orchestrator/` are the collector's.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use comfyui::Socket;
use comfyui::api::{FileRef, HistoryStatus, PromptRequest};
use indexmap::IndexMap;
use reqwest::header::HeaderMap;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use crate::jobs::Job;
use crate::screen::Screen;

/// How long backends get to answer for the first time.
const READY_WITHIN: Duration = Duration::from_secs(15);
const READY_ASK_EVERY: Duration = Duration::from_millis(100);
const PICTURE_BYTES: u64 = 64 << 20;

pub(crate) struct Client {
    collector: comfyui::Client,
    /// Names this client to the collector: events of its jobs come to the WebSocket of this name.
    id: String,
    pictures: PathBuf,
}

/// What `GET /orchestrator/v1/backends` says of one; there is more in it.
#[derive(Deserialize)]
pub(crate) struct Backend {
    pub(crate) id: String,
    pub(crate) url: String,
    pub(crate) agent_url: String,
    /// `unknown`, `up` or `down`.
    pub(crate) state: String,
    pub(crate) agent_state: String,
    /// Why it is down.
    pub(crate) reason: Option<String>,
    pub(crate) takes_jobs: bool,
}

/// What `GET /orchestrator/v1/jobs/{id}` says of a job; there is more in it.
#[derive(Deserialize)]
pub(crate) struct Record {
    /// `waiting`, `dispatched`, or how it ended: `succeeded`, `failed`, `interrupted`, `cancelled`.
    pub(crate) state: String,
    /// The newest is last.
    pub(crate) attempts: Vec<Attempt>,
    /// As in ComfyUI's history: by node, once it has ended.
    #[serde(default)]
    pub(crate) outputs: IndexMap<String, Value>,
    #[serde(default)]
    status: Value,
}

/// One backend that was given the job.
#[derive(Clone, Deserialize)]
pub(crate) struct Attempt {
    pub(crate) backend: String,
    /// The router's reasons.
    pub(crate) why: String,
    /// Milliseconds since 1970.
    dispatched_at: u64,
    /// Absent while it runs.
    ended_at: Option<u64>,
}

impl Client {
    /// `pictures` is the directory for what it downloads.
    pub(crate) fn of(collector: &Url, pictures: &Path) -> Result<Self> {
        let (id, pictures) = (Uuid::new_v4().to_string(), pictures.to_owned());
        Ok(Self { collector: comfyui::Client::new(collector)?, id, pictures })
    }

    /// Returns the backends when each takes jobs or is down. One that takes jobs is enough.
    pub(crate) async fn ready(&self, screen: &Screen) -> Result<Vec<Backend>> {
        let begun = Instant::now();
        let mut told = false;
        loop {
            let backends = self.backends().await?;
            let settled = backends.iter().all(|backend| backend.takes_jobs || backend.state == "down");
            if settled || begun.elapsed() > READY_WITHIN {
                at_least_one(&backends)?;
                return Ok(backends);
            }
            if !told && begun.elapsed() > Duration::from_secs(1) {
                screen.line("Waiting for the backends to answer ...");
                told = true;
            }
            tokio::time::sleep(READY_ASK_EVERY).await;
        }
    }

    pub(crate) async fn backends(&self) -> Result<Vec<Backend>> {
        #[derive(Deserialize)]
        struct Answer {
            backends: Vec<Backend>,
        }
        Ok(self.get::<Answer>("/orchestrator/v1/backends").await?.backends)
    }

    /// The models that the fleet can simulate; none if it cannot simulate.
    pub(crate) async fn models(&self) -> Result<Vec<String>> {
        let class = self.collector.object_info_of("SimLoader").await?;
        let options = class.iter().filter_map(|class| class.input.get("ckpt_name")?.combo()).flatten();
        Ok(options.filter_map(|model| model.as_str().map(str::to_owned)).collect())
    }

    /// Opens the WebSocket. Asks for previews that say what they belong to.
    pub(crate) async fn listen(&self) -> Result<Socket> {
        let features = json!({ "supports_preview_metadata": true });
        Ok(Socket::connect(&self.collector, &self.id, Some(&features)).await?)
    }

    /// Returns the job's id.
    pub(crate) async fn submit(&self, job: &Job) -> Result<String> {
        let mut request = PromptRequest::of(job.prompt.to_string())?;
        request.client_id = Some(self.id.clone());
        let accepted = self.collector.queue_prompt(&request).await;
        Ok(accepted.with_context(|| format!("job {} was not accepted", job.number))?.prompt_id)
    }

    pub(crate) async fn record(&self, id: &str) -> Result<Record> {
        self.get(&format!("/orchestrator/v1/jobs/{id}")).await
    }

    /// Downloads a job's picture and saves it, if it is one. Returns its name.
    pub(crate) async fn save_picture(&self, job: &Job, record: &Record) -> Result<String> {
        let file = record.picture().context("it ended without a picture")?;
        let bytes = self.collector.download(&file, PICTURE_BYTES).await?;
        let picture = image::load_from_memory(&bytes).with_context(|| {
            format!("{} came back as {} bytes that are no picture", file.filename, bytes.len())
        })?;
        let (expected, got) = (job.size, (picture.width(), picture.height()));
        ensure!(expected == got, "its picture is {got:?} pixels large instead of {expected:?}");
        let name = format!("{:02}-{}.png", job.number, job.title);
        let path = self.pictures.join(&name);
        tokio::fs::write(&path, &bytes).await.with_context(|| format!("cannot write {}", path.display()))?;
        Ok(name)
    }

    /// The collector's own routes, which the library has no methods for.
    async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T> {
        let answer = self.collector.get_stream(path, &[], HeaderMap::new()).await?.error_for_status()?;
        Ok(answer.json().await?)
    }
}

/// Else an error that says of each backend why it takes none.
pub(crate) fn at_least_one(backends: &[Backend]) -> Result<()> {
    if backends.iter().any(|backend| backend.takes_jobs) {
        return Ok(());
    }
    let reasons: Vec<String> =
        backends.iter().map(|backend| format!("{}: {}", backend.url, backend.trouble())).collect();
    bail!("no backend takes jobs; start one, or give another --backend\n  {}", reasons.join("\n  "))
}

impl Backend {
    /// Why it takes no jobs.
    pub(crate) fn trouble(&self) -> &str {
        self.reason.as_deref().unwrap_or("it has not told yet what it offers")
    }
}

impl Record {
    pub(crate) fn has_ended(&self) -> bool {
        !matches!(self.state.as_str(), "waiting" | "dispatched")
    }

    /// What went wrong, if it has not succeeded.
    pub(crate) fn failure(&self) -> Option<String> {
        if self.state == "succeeded" {
            return None;
        }
        let status: Option<HistoryStatus> = serde_json::from_value(self.status.clone()).ok();
        let message = status.as_ref().and_then(|status| status.message("execution_error"));
        let text = |key| message?.get(key)?.as_str();
        let said = text("exception_message").map(|said| format!(": {}", said.trim()));
        let node = text("node_type").map(|class| format!(" in {class}"));
        Some(format!("{}{}{}", self.state.to_uppercase(), node.unwrap_or_default(), said.unwrap_or_default()))
    }

    fn picture(&self) -> Option<FileRef> {
        let mut images = self.outputs.values().filter_map(|output| output.get("images")?.get(0));
        serde_json::from_value(images.next()?.clone()).ok()
    }
}

impl Attempt {
    /// From the dispatch to the end.
    pub(crate) fn took(&self) -> Option<Duration> {
        Some(Duration::from_millis(self.ended_at?.saturating_sub(self.dispatched_at)))
    }
}
