//! Simulated servers with their agents, and a collector before them.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use collector::Collector;
use collector::access::Fresh;
use collector::config::{Backend, Config, DatabaseFlags, ServeFlags};
use serde_json::{Value, json};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig};
use tempfile::TempDir;

use crate::wait::until;

/// Three hundred servers start in seconds, and in minutes where others have the machine.
const PATIENCE: Duration = Duration::from_secs(400);
/// Beyond so many, asking all of them often takes more of the machine than the page that is looked at.
const FEW: usize = 10;

pub(super) const MODELS: [&str; 2] = ["sd15.safetensors", "flux.safetensors"];

pub(super) struct Fleet {
    pub(super) comfys: Vec<Comfy>,
    _agents: Vec<Agent>,
    /// Without a slash at its end.
    pub(super) address: String,
    /// As whom `post` and `get` ask.
    token: Option<String>,
    config: Config,
    collector: Option<Collector>,
    _folder: TempDir,
}

impl Fleet {
    pub(super) async fn of(servers: usize) -> Result<Self> {
        Self::with(servers, ComfyConfig::default(), &[]).await
    }

    /// Servers like this one; tokens are asked for if there are any, and the first is the tester's.
    pub(super) async fn with(servers: usize, like: ComfyConfig, tokens: &[&Fresh]) -> Result<Self> {
        let (mut comfys, mut agents, mut backends) = (Vec::new(), Vec::new(), Vec::new());
        for number in 1..=servers {
            let comfy =
                Comfy::start(ComfyConfig { speed: 0.0, device_name: "Simulated GPU".into(), ..like.clone() })
                    .await?;
            let agent =
                Agent::start(AgentConfig { beside: Some(comfy.clone()), ..AgentConfig::default() }).await?;
            backends.push(backend(&format!("gpu-{number}"), &comfy, &agent)?);
            comfys.push(comfy);
            agents.push(agent);
        }
        let folder = tempfile::tempdir()?;
        let mut config = Config::load(ServeFlags {
            listen: Some(([127, 0, 0, 1], 0).into()),
            database: DatabaseFlags {
                state_directory: Some(folder.path().join("state")),
                ..DatabaseFlags::default()
            },
            poll_interval: Some(Duration::from_millis(if servers > FEW { 2000 } else { 50 })),
            ..ServeFlags::default()
        })?;
        config.backends = backends;
        if !tokens.is_empty() {
            let file = folder.path().join("tokens.toml");
            std::fs::write(&file, tokens.iter().map(|fresh| fresh.entry.as_str()).collect::<String>())?;
            config.access.token_file = Some(file);
        }
        let token = tokens.first().map(|fresh| fresh.token.clone());
        let mut fleet = Self {
            comfys,
            _agents: agents,
            address: String::new(),
            token,
            config,
            collector: None,
            _folder: folder,
        };
        fleet.start().await?;
        fleet.all_take_jobs(servers).await?;
        Ok(fleet)
    }

    /// Starts the collector, at the address that it had if it had one. What a stopped one had open in this process may be
    /// so for a moment longer.
    pub(super) async fn start(&mut self) -> Result<()> {
        let started = until("the collector to start", PATIENCE, async || {
            Ok(Some(Collector::start(self.config.clone()).await?))
        });
        let collector = started.await?;
        self.address = format!("http://{}", collector.address());
        self.config.listen = collector.address();
        self.collector = Some(collector);
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        if let Some(collector) = self.collector.take() {
            collector.stop().await;
        }
    }

    pub(super) fn listens_at(&self) -> SocketAddr {
        self.config.listen
    }

    pub(super) fn page(&self) -> String {
        format!("{}/orchestrator/", self.address)
    }

    async fn all_take_jobs(&self, servers: usize) -> Result<()> {
        let all = until("all backends to take jobs", PATIENCE, async || {
            let told = self.get("backends").await?;
            let backends = told["backends"].as_array().context("a list")?;
            let ready = backends.iter().filter(|backend| backend["takes_jobs"] == true).count();
            Ok((ready == servers).then_some(()))
        });
        all.await
    }

    pub(super) async fn get(&self, path: &str) -> Result<Value> {
        self.ask(reqwest::Method::GET, path, None).await
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        self.ask(reqwest::Method::POST, path, Some(body)).await
    }

    async fn ask(&self, method: reqwest::Method, path: &str, body: Option<&Value>) -> Result<Value> {
        let request =
            reqwest::Client::new().request(method, format!("{}/orchestrator/v1/{path}", self.address));
        let request = self.token.iter().fold(request, |request, token| request.bearer_auth(token));
        let request = body.into_iter().fold(request, |request, body| request.json(body));
        let answer = request.send().await?;
        let status = answer.status();
        let document: Value = answer.json().await?;
        ensure!(status.is_success(), "{path}: {status} {document}");
        Ok(document)
    }

    /// Gives the job's id.
    pub(super) async fn submit(&self, prompt: &Value) -> Result<String> {
        let answer = self.post("jobs", &json!({"prompt": prompt, "client_id": "the studio"})).await?;
        Ok(answer["id"].as_str().context("an id")?.to_owned())
    }

    pub(super) fn hold(&self) {
        self.comfys.iter().for_each(Comfy::hold);
    }

    pub(super) fn release(&self) {
        self.comfys.iter().for_each(Comfy::release);
    }

    pub(super) async fn ended(&self, id: &str) -> Result<Value> {
        let ended = until("the job to end", PATIENCE, async || {
            let job = self.get(&format!("jobs/{id}")).await?;
            Ok(job["ended_at"].is_u64().then_some(job))
        });
        ended.await
    }
}

fn backend(name: &str, comfy: &Comfy, agent: &Agent) -> Result<Backend> {
    let flags = ServeFlags { backend: vec![comfy.url().parse()?], ..ServeFlags::default() };
    let [backend] = Config::load(flags)?.backends.try_into().map_err(|_| anyhow::anyhow!("one backend"))?;
    Ok(Backend { id: name.parse()?, agent: agent.url().parse()?, ..backend })
}

/// Load, sample with previews, save.
pub(super) fn prompt(model: &str, seed: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": model, "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "_meta": {"title": "The sampler"}, "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 8, "step_seconds": 0.0, "width": 256, "height": 256, "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "picture"}},
    })
}
