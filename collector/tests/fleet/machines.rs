//! What agents tell of the machines, as the fleet's list shows it: memory of the GPU, whose it is, and ComfyUI's process.

use collector::config::Config;
use serde_json::{Value, json};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Figures, Generation};

use super::prompts::picture;
use super::stage::{NAMES, Stage, quick};
use super::wait::until;

/// Servers with a GPU each, and an agent beside each.
pub(crate) struct Machines {
    pub(crate) stage: Stage,
    pub(crate) agents: Vec<Agent>,
}

impl Machines {
    /// `vram_gib`: the memory of each server's GPU; `change` may alter the configuration.
    pub(crate) async fn of(vram_gib: &[u64], change: impl FnOnce(&mut Config)) -> Self {
        let mut comfys = Vec::new();
        for gib in vram_gib {
            comfys.push(Comfy::start(with_gpu(*gib)).await.unwrap());
        }
        Self::beside(comfys, true, change).await
    }

    pub(crate) async fn beside(
        comfys: Vec<Comfy>,
        has_report: bool,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let mut agents = Vec::new();
        for comfy in &comfys {
            let beside = Some(comfy.clone());
            agents.push(
                Agent::start(AgentConfig { beside, has_report, ..AgentConfig::default() }).await.unwrap(),
            );
        }
        let urls: Vec<url::Url> = agents.iter().map(|agent| agent.url().parse().unwrap()).collect();
        let stage = Stage::before(comfys, |config| {
            for (backend, url) in config.backends.iter_mut().zip(urls) {
                backend.agent = url;
            }
            change(config);
        });
        let machines = Self { stage: stage.await, agents };
        machines.stage.all_take_jobs().await;
        for name in &NAMES[..machines.agents.len()] {
            let known = |backend: &Value| backend["machine"]["gpus"][0]["vram_used_bytes"].is_u64();
            machines.shows(name, "its GPU", known).await;
        }
        machines
    }

    pub(crate) async fn backend(&self, name: &str) -> Value {
        self.stage.client.get(&format!("/orchestrator/v1/backends/{name}")).await
    }

    /// The backend as soon as it is shown so.
    pub(crate) async fn shows(&self, name: &str, wanted: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let ask = async || Some(self.backend(name).await).filter(&is_so);
        until(&format!("backend {name} shows {wanted}"), ask).await
    }
}

pub(crate) fn with_gpu(vram_gib: u64) -> ComfyConfig {
    let device_name = format!("cuda:0 Simulated {vram_gib} GB : native");
    ComfyConfig { device_name, vram_bytes: vram_gib << 30, ..quick(Generation::V0_8) }
}

pub(crate) fn mib(mebibytes: u64) -> Value {
    json!(mebibytes << 20)
}

#[tokio::test]
async fn a_backends_gpu_is_told_with_what_comfyui_holds_of_it_and_what_others_do() {
    let machines = Machines::of(&[24], |_| {}).await;
    machines.stage.comfys[0].occupy(3000);
    let id = machines.stage.client.submit(&picture(1)).await;
    machines.stage.client.succeeded(&id).await;
    let loaded_and_idle = |backend: &Value| {
        let gpu = &backend["machine"]["gpus"][0];
        gpu["comfyui_bytes"]["bytes"] == mib(4512) && gpu["utilization_ratio"] == 0.0
    };
    let backend = machines.shows("a", "the model in the idle GPU's memory", loaded_and_idle).await;
    let gpu = &backend["machine"]["gpus"][0];
    assert_eq!(gpu["name"], "cuda:0 Simulated 24 GB : native");
    assert_eq!((&gpu["vram_total_bytes"], &gpu["vram_used_bytes"]), (&mib(24 << 10), &mib(7512)));
    assert_eq!((&gpu["vram_free_bytes"], &gpu["others_bytes"]["bytes"]), (&mib(24576 - 7512), &mib(3000)));
    assert!(gpu["age_seconds"].as_f64().unwrap() >= 0.25, "{gpu}");
    assert_eq!((&gpu["power_limit_watts"], &gpu["slowed_by"]), (&json!(320.0), &json!([])));
    assert_eq!((&gpu["clock_hertz"]["graphics"], &gpu["xid_errors_total"]), (&json!(2e8), &Value::Null));
    let brief = &backend["gpu"];
    assert_eq!((&brief["comfyui_bytes"], &brief["others_bytes"]), (&mib(4512), &mib(3000)));
    assert_eq!((&brief["vram_used_bytes"], &brief["power_watts"]), (&mib(7512), &json!(24.0)));
    let host = &backend["machine"]["host"];
    assert_eq!(
        (&host["cpu_utilization_ratio"], &host["ram_available_bytes"]),
        (&json!(0.125), &mib(48 << 10))
    );
    assert!(backend["machine"]["comfyui"]["start_time_seconds"].as_f64().unwrap() > 1e9);
    assert_eq!(backend["metrics"]["gpu_memory_used"], 7512, "and as the old node tells it");
}

#[tokio::test]
async fn an_agent_without_a_report_is_asked_for_the_old_nodes_document_and_for_no_report_again() {
    let comfy = Comfy::start(with_gpu(24)).await.unwrap();
    let machines = Machines::beside(vec![comfy], false, |_| {}).await;
    let known = |backend: &Value| backend["machine"]["gpus"][0]["vram_used_bytes"] == mib(512);
    let backend = machines.shows("a", "its GPU's memory", known).await;
    let gpu = &backend["machine"]["gpus"][0];
    assert_eq!((&gpu["comfyui_bytes"], &gpu["others_bytes"]), (&Value::Null, &Value::Null));
    assert_eq!(backend["machine"]["comfyui"], Value::Null);
    let asked = async || {
        let requests = machines.agents[0].requests();
        (requests["GET /orchestrator/metrics"] >= 4).then(|| requests["GET /v1/report"])
    };
    assert_eq!(until("the agent is asked again", asked).await, 1);
}

#[tokio::test]
async fn what_an_agent_no_longer_tells_is_unknown() {
    let machines = Machines::of(&[24], |_| {}).await;
    machines.shows("a", "its machine", |backend| backend["machine"]["host"].is_object()).await;
    let silent = Figures { cpu_percent: None, ram_total_bytes: None, ..Figures::default() };
    machines.agents[0].set(silent);
    machines.shows("a", "no host", |backend| backend["machine"]["host"].is_null()).await;
    machines.agents[0].kill().await;
    machines.shows("a", "no machine", |backend| backend["machine"].is_null()).await;
}
