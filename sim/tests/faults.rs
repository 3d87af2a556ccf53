//! Every way in which a simulated server or agent can be made to fail.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod client;

use std::time::Duration;

use client::{Socket, ends_run, get, http, kinds, picture_prompt, submit};
use serde_json::{Value, json};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Fault, FaultKind, Generation, Outcome};

const MODEL: &str = "sd15.safetensors";

async fn server() -> Comfy {
    Comfy::start(ComfyConfig { speed: 0.0, ..ComfyConfig::default() }).await.unwrap()
}

fn body(seed: u64) -> Value {
    json!({"prompt": picture_prompt(MODEL, seed), "client_id": "c"})
}

/// Posts a prompt and gives what became of the request.
async fn post(comfy: &Comfy, seed: u64) -> reqwest::Result<reqwest::Response> {
    http().post(format!("{}/prompt", comfy.url())).json(&body(seed)).send().await
}

#[tokio::test]
async fn a_status_is_answered_as_often_as_asked_and_nothing_is_done() {
    let comfy = server().await;
    comfy.fail(Fault { route: "POST /prompt".to_owned(), times: 2, kind: FaultKind::Status(503) });
    let statuses = [post(&comfy, 1).await, post(&comfy, 1).await, post(&comfy, 1).await];
    assert_eq!(statuses.map(|answer| answer.unwrap().status().as_u16()), [503, 503, 200]);
    assert_eq!(comfy.counters().accepted, 1);
}

#[tokio::test]
async fn a_reset_loses_the_request() {
    let comfy = server().await;
    comfy.fail(Fault::once("/prompt", FaultKind::Reset));
    assert!(post(&comfy, 1).await.is_err());
    assert_eq!(comfy.counters().accepted, 0);
}

#[tokio::test]
async fn a_reset_after_accepting_loses_the_answer_only() {
    let comfy = server().await;
    comfy.fail(Fault::once("/prompt", FaultKind::ResetAfterAccepting));
    assert!(post(&comfy, 1).await.is_err());
    let state = comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
    assert_eq!(state.runs.last().map(|run| run.outcome), Some(Outcome::Succeeded));
}

#[tokio::test]
async fn garbage_is_a_success_that_cannot_be_read() {
    let comfy = server().await;
    comfy.fail(Fault::once("GET /queue", FaultKind::Garbage));
    let answer = http().get(format!("{}/api/queue", comfy.url())).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    assert!(answer.json::<Value>().await.is_err());
    assert_eq!(get(&format!("{}/queue", comfy.url())).await["queue_pending"], json!([]));
}

#[tokio::test]
async fn a_hanging_route_is_never_answered_and_the_others_are() {
    let comfy = server().await;
    comfy.fail(Fault::once("/system_stats", FaultKind::Hang));
    let url = format!("{}/system_stats", comfy.url());
    let hung = http().get(&url).timeout(Duration::from_millis(100)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    assert_eq!(get(&url).await["devices"][0]["name"], "cpu");
}

#[tokio::test]
async fn a_delay_is_waited_for() {
    let comfy = server().await;
    comfy.fail(Fault::once("/queue", FaultKind::Delay(Duration::from_millis(50))));
    let began = std::time::Instant::now();
    get(&format!("{}/queue", comfy.url())).await;
    assert!(began.elapsed() >= Duration::from_millis(50));
}

#[tokio::test]
async fn faults_that_were_cleared_do_not_happen() {
    let comfy = server().await;
    comfy.fail(Fault::always("*", FaultKind::Reset));
    assert!(post(&comfy, 1).await.is_err());
    comfy.clear_faults();
    assert!(post(&comfy, 1).await.is_ok());
}

#[tokio::test]
async fn a_killed_server_resets_its_sockets_refuses_connections_and_has_forgotten_everything() {
    let comfy = server().await;
    let mut socket = Socket::open(&comfy.url(), "c").await;
    comfy.hold();
    let first = submit(&comfy.url(), &body(1)).await;
    submit(&comfy.url(), &body(2)).await;
    comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    comfy.kill().await;
    while socket.next().await.is_some() {}
    assert!(http().get(comfy.url()).send().await.unwrap_err().is_connect());
    assert_eq!(comfy.state().outcome(first["prompt_id"].as_str().unwrap()), Some(Outcome::Killed));
    comfy.release();
    comfy.restart().await.unwrap();
    let queue = get(&format!("{}/queue", comfy.url())).await;
    assert_eq!(queue, json!({"queue_running": [], "queue_pending": []}));
    assert_eq!(get(&format!("{}/history", comfy.url())).await, json!({}));
    assert_eq!(submit(&comfy.url(), &body(3)).await["number"], 0);
}

#[tokio::test]
async fn outputs_outlive_the_process_and_previews_do_not() {
    let comfy = server().await;
    let prompt = json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 4, "height": 4, "batch_size": 1, "color": 255}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "deep/kept"}},
        "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
    });
    let answer = submit(&comfy.url(), &json!({"prompt": prompt})).await;
    comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
    let outputs = comfy.history_of(answer["prompt_id"].as_str().unwrap()).unwrap()["outputs"].clone();
    let preview = outputs["3"]["images"][0]["filename"].as_str().unwrap();
    assert!(comfy.file(&format!("{preview} [temp]")).is_some());
    comfy.restart().await.unwrap();
    assert!(comfy.file(&format!("{preview} [temp]")).is_none());
    let kept = format!("{}/view?filename=kept_00001_.png&subfolder=deep", comfy.url());
    let picture = image::load_from_memory(&client::bytes(&kept).await).unwrap().to_rgb8();
    assert_eq!(picture, sim::picture::plain(4, 4, 255));
}

#[tokio::test]
async fn a_hung_server_answers_sends_and_executes_nothing_until_it_goes_on() {
    let comfy = server().await;
    let mut socket = Socket::open(&comfy.url(), "c").await;
    assert_eq!(kinds(&[socket.next().await.unwrap()]), ["status"]);
    comfy.hang();
    let url = format!("{}/prompt", comfy.url());
    let waiting = tokio::spawn(async move { http().post(url).json(&body(1)).send().await.unwrap().status() });
    comfy.wait_for(|state| state.counters.requests.contains_key("POST /prompt")).await.unwrap();
    let silence = http().get(comfy.url()).timeout(Duration::from_millis(100)).send().await;
    assert!(silence.unwrap_err().is_timeout());
    assert_eq!(comfy.counters().accepted, 0);
    comfy.unhang();
    assert_eq!(waiting.await.unwrap(), 200);
    assert!(kinds(&socket.until(ends_run).await).contains(&"execution_success".to_owned()));
}

#[tokio::test]
async fn dropped_sockets_end_and_http_goes_on() {
    let comfy = server().await;
    let mut socket = Socket::open(&comfy.url(), "c").await;
    socket.next().await.unwrap();
    comfy.drop_sockets();
    assert_eq!(socket.next().await, None);
    submit(&comfy.url(), &body(1)).await;
}

#[tokio::test]
async fn a_history_can_be_lost() {
    let comfy = server().await;
    let answer = submit(&comfy.url(), &body(1)).await;
    comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
    let url = format!("{}/history/{}", comfy.url(), answer["prompt_id"].as_str().unwrap());
    assert_ne!(get(&url).await, json!({}));
    comfy.forget_history();
    assert_eq!(get(&url).await, json!({}));
}

#[tokio::test]
async fn a_held_job_stops_before_its_next_step_and_goes_on_when_released() {
    let comfy = server().await;
    comfy.hold();
    comfy.let_pass(3);
    let answer = submit(&comfy.url(), &body(1)).await;
    let state = comfy.wait_for(|state| state.steps_done == 1 && state.waits_at_gate).await.unwrap();
    assert_eq!((state.running.as_deref(), state.node.as_deref()), (answer["prompt_id"].as_str(), Some("2")));
    assert_eq!(comfy.running(), state.running);
    comfy.release();
    comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
}

#[tokio::test]
async fn a_port_in_use_is_refused_with_what_to_do() {
    let comfy = server().await;
    let port = comfy.url().rsplit(':').next().unwrap().parse().unwrap();
    let error = Comfy::start(ComfyConfig { port, ..ComfyConfig::default() }).await.unwrap_err();
    assert!(error.to_string().contains("give another port"), "{error}");
}

#[tokio::test]
async fn the_last_handle_ends_the_server() {
    let comfy = server().await;
    let url = comfy.url();
    let other = comfy.clone();
    drop(comfy);
    assert!(http().get(&url).send().await.is_ok());
    drop(other);
    // The listener is closed by its task, which ends at its next turn.
    while http().get(&url).send().await.is_ok() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn an_agent_with_a_token_asks_for_it() {
    let config = AgentConfig { token: Some("secret".to_owned()), ..AgentConfig::default() };
    let agent = Agent::start(config).await.unwrap();
    let status = async |path: &str, token: &str| {
        let request = reqwest::Client::new().get(format!("{}{path}", agent.url())).bearer_auth(token);
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(status("/orchestrator/metrics", "secret").await, 200);
    assert_eq!(status("/orchestrator/metrics", "another").await, 401);
    assert_eq!(status("/-/healthy", "another").await, 200);
}

#[tokio::test]
async fn an_agent_reports_what_it_is_told_and_fails_on_command() {
    let agent = Agent::start(AgentConfig::default()).await.unwrap();
    let url = format!("{}/orchestrator/metrics", agent.url());
    let expected = json!({"cpu_utilization": 12.5, "ram_total": 65536, "ram_used": 16384});
    assert_eq!(get(&url).await, expected);
    agent.fail(Fault::once("/orchestrator/metrics", FaultKind::Status(500)));
    assert_eq!(http().get(&url).send().await.unwrap().status(), 500);
    agent.set(sim::Figures { cpu_percent: Some(99.0), ram_total_bytes: None, ..sim::Figures::default() });
    assert_eq!(get(&url).await, json!({"cpu_utilization": 99.0, "ram_used": 16384}));
    agent.kill().await;
    assert!(http().get(&url).send().await.unwrap_err().is_connect());
    agent.restart().await.unwrap();
    assert_eq!(get(&url).await["cpu_utilization"], 99.0);
    assert_eq!(agent.requests()["GET /orchestrator/metrics"], 4);
}

#[tokio::test]
async fn a_hung_agent_answers_when_it_goes_on() {
    let agent = Agent::start(AgentConfig::default()).await.unwrap();
    agent.hang();
    let url = format!("{}/-/healthy", agent.url());
    let hung = http().get(&url).timeout(Duration::from_millis(100)).send().await;
    assert!(hung.unwrap_err().is_timeout());
    agent.unhang();
    assert_eq!(http().get(&url).send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn an_agent_beside_a_server_reports_the_memory_that_its_models_take() {
    let device_name = "NVIDIA GeForce RTX 4090".to_owned();
    let config = ComfyConfig { speed: 0.0, device_name, python_node: true, ..ComfyConfig::default() };
    let comfy = Comfy::start(config).await.unwrap();
    let beside = Some(comfy.clone());
    let agent = Agent::start(AgentConfig { beside, ..AgentConfig::default() }).await.unwrap();
    submit(&comfy.url(), &body(1)).await;
    comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
    let metrics = get(&format!("{}/orchestrator/metrics", agent.url())).await;
    assert_eq!((&metrics["gpu_memory_used"], &metrics["gpu_utilization"]), (&json!(4512), &json!(0)));
    assert_eq!(metrics, get(&format!("{}/orchestrator/metrics", comfy.url())).await);
    let text = http().get(format!("{}/v1/report", agent.url())).send().await.unwrap().text().await.unwrap();
    let report: report::Report = serde_json::from_str(&text).unwrap();
    let memory = report.gpus[0].memory.clone().unwrap();
    assert_eq!(memory.used_bytes, Some(4512 << 20));
}

#[tokio::test]
async fn an_older_server_has_nothing_under_the_new_prefix() {
    let config = ComfyConfig { generation: Generation::V2024, ..ComfyConfig::default() };
    let comfy = Comfy::start(config).await.unwrap();
    let status = http().get(format!("{}/api/prompt", comfy.url())).send().await.unwrap().status();
    assert_eq!(status, 404);
}
