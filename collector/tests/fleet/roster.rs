//! Operators drain, resume, add and remove backends and free their memory, while jobs run.

use std::time::Duration;

use serde_json::{Value, json};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Fault, FaultKind, Generation, Outcome};

use super::client::{Answer, Client};
use super::program::{Program, configuration};
use super::prompts::picture;
use super::stage::{Stage, comfy, outcomes_of, quick, takes_jobs};
use super::wait::until;

async fn backend(client: &Client, name: &str) -> Value {
    client.get(&format!("/orchestrator/v1/backends/{name}")).await
}

async fn act(client: &Client, name: &str, what: &str) -> Answer {
    client.post(&format!("/orchestrator/v1/backends/{name}/{what}"), &json!({})).await
}

async fn add(client: &Client, name: &str, comfy: &Comfy) -> Answer {
    let backend = json!({"url": comfy.url(), "name": name, "agent": comfy.url()});
    client.post("/orchestrator/v1/backends", &backend).await
}

async fn remove(client: &Client, name: &str, query: &str) -> Answer {
    client.delete(&format!("/orchestrator/v1/backends/{name}{query}")).await
}

async fn names(client: &Client) -> Vec<String> {
    let fleet = client.get("/orchestrator/v1/backends").await;
    fleet["backends"].as_array().unwrap().iter().map(|b| b["id"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_drained_backend_gets_no_new_job_and_what_it_runs_goes_on() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let running = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let (status, drained) = act(&stage.client, "a", "drain").await;
    assert_eq!((status, &drained["drain"]["state"], &drained["jobs"]), (200, &json!("draining"), &json!(1)));
    assert_eq!((&drained["state"], &drained["takes_jobs"]), (&json!("up"), &json!(false)));
    let (_, again) = act(&stage.client, "a", "drain").await;
    assert_eq!(again["drain"], drained["drain"], "since the first time");

    let waiting = stage.client.submit(&picture(2)).await;
    stage.comfys[0].release();
    stage.client.succeeded(&running).await;
    let is_drained =
        async || (backend(&stage.client, "a").await["drain"]["state"] == "drained").then_some(());
    until("the backend is drained", is_drained).await;
    let told = async || {
        let why = stage.client.job(&waiting).await["why_waiting"]["a"].clone();
        (why == "is draining").then_some(())
    };
    until("the job says why it waits", told).await;

    let (status, resumed) = act(&stage.client, "a", "resume").await;
    assert_eq!((status, &resumed["drain"], &resumed["takes_jobs"]), (200, &Value::Null, &json!(true)));
    stage.client.succeeded(&waiting).await;
}

#[tokio::test]
async fn what_was_drained_and_added_is_so_after_a_restart() {
    let (state, comfys) = (tempfile::tempdir().unwrap(), [comfy(Generation::V0_8).await]);
    let other = comfy(Generation::V2024).await;
    let program = Program::start(&comfys, state.path()).await;
    assert_eq!(add(&program.client, "b", &other).await.0, 201);
    takes_jobs(&program.client, "b", true).await;
    let (_, drained) = act(&program.client, "a", "drain").await;
    program.kill();

    let program = Program::start(&comfys, state.path()).await;
    takes_jobs(&program.client, "b", true).await;
    assert_eq!(backend(&program.client, "a").await["drain"], drained["drain"]);
    let id = program.client.submit(&picture(1)).await;
    program.client.succeeded(&id).await;
    assert_eq!(outcomes_of(&other, &id), [Outcome::Succeeded]);
    let (status, removed) = remove(&program.client, "b", "").await;
    assert_eq!((status, &removed["returns_at_restart"]), (200, &json!(false)));
    let (status, removed) = remove(&program.client, "a", "").await;
    assert_eq!((status, &removed["returns_at_restart"]), (200, &json!(true)));
    assert!(names(&program.client).await.is_empty());
    program.kill();

    let program = Program::start(&comfys, state.path()).await;
    assert_eq!(names(&program.client).await, ["a"], "it stands in the configuration still");
    takes_jobs(&program.client, "a", true).await;
}

#[tokio::test]
async fn a_backend_with_jobs_is_removed_only_by_force_and_they_run_elsewhere() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let id = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let (status, refused) = remove(&stage.client, "a", "").await;
    assert_eq!((status, &refused["error"]["type"]), (409, &json!("backend_has_jobs")));
    assert_eq!(backend(&stage.client, "a").await["drain"], Value::Null, "it is as it was");

    let other = comfy(Generation::V0_8).await;
    assert_eq!(add(&stage.client, "b", &other).await.0, 201);
    assert_eq!(remove(&stage.client, "a", "?force=true").await.0, 200);
    let history = stage.client.succeeded(&id).await;
    stage.client.picture_in(&history).await;
    assert_eq!(
        (names(&stage.client).await, outcomes_of(&other, &id)),
        (vec!["b".into()], vec![Outcome::Succeeded])
    );
    let attempts = stage.client.job(&id).await["attempts"].clone();
    assert_eq!(attempts[0]["ending"], "the backend is no longer part of the fleet");
}

#[tokio::test]
async fn a_removed_backend_may_come_back_under_its_name_at_another_address() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    assert_eq!(remove(&stage.client, "a", "").await.0, 200);
    let other = comfy(Generation::V0_8).await;
    assert_eq!(add(&stage.client, "a", &other).await.0, 201);
    takes_jobs(&stage.client, "a", true).await;
    let id = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&id).await;
    assert_eq!((outcomes_of(&other, &id).len(), outcomes_of(&stage.comfys[0], &id).len()), (1, 0));
}

#[tokio::test]
async fn what_cannot_be_done_is_refused_with_what_to_do() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let url = stage.comfys[0].url();
    for (body, status, kind) in [
        (json!({"url": "gpu-1:8188"}), 400, "invalid_json"),
        (json!({"url": "http://gpu-1:8188", "nam": "x"}), 400, "invalid_json"),
        (json!({"url": "http://gpu-1:8188", "name": "a"}), 409, "name_taken"),
        (json!({"url": url, "name": "x"}), 409, "address_taken"),
    ] {
        let (answered, refused) = stage.client.post("/orchestrator/v1/backends", &body).await;
        assert_eq!((answered, &refused["error"]["type"]), (status, &json!(kind)), "{body}");
    }
    for what in ["drain", "resume", "free"] {
        let route = format!("/orchestrator/v1/backends/x/{what}");
        let (status, refused) = stage.client.post(&route, &json!({"unload_models": true})).await;
        assert_eq!((status, &refused["error"]["type"]), (404, &json!("not_found")), "{what}");
    }
    assert_eq!(remove(&stage.client, "x", "").await.0, 404);
    assert_eq!(names(&stage.client).await, ["a"]);
}

async fn free(client: &Client) -> Answer {
    let wish = json!({"unload_models": true, "free_memory": true});
    client.post("/orchestrator/v1/backends/a/free", &wish).await
}

#[tokio::test]
async fn freeing_memory_tells_by_the_agents_figures_what_came_of_it() {
    let device_name = "cuda:0 Simulated".to_owned();
    let comfy = Comfy::start(ComfyConfig { device_name, ..quick(Generation::V0_8) }).await.unwrap();
    let beside = Some(comfy.clone());
    let agent = Agent::start(AgentConfig { beside, ..AgentConfig::default() }).await.unwrap();
    let url = agent.url().parse().unwrap();
    let stage = Stage::before(vec![comfy], |config| config.backends[0].agent = url).await;
    stage.all_take_jobs().await;
    let id = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&id).await;
    let loaded = async || {
        let used = backend(&stage.client, "a").await["metrics"]["gpu_memory_used"].as_u64();
        used.filter(|mebibytes| *mebibytes >= 4000)
    };
    until("the agent shows the model", loaded).await;

    let (status, freed) = free(&stage.client).await;
    assert_eq!((status, &freed["proved"]), (200, &json!(true)), "{freed}");
    let used = |when: &str| freed[when]["used_bytes"].as_u64().unwrap();
    assert!(used("vram_before") - used("vram_after") >= 4_000_000_000, "{freed}");
    assert_eq!(freed["vram_after"]["source"], "agent");
    assert_eq!(backend(&stage.client, "a").await["models"], json!([]));
}

#[tokio::test]
async fn freeing_memory_is_accepted_where_nothing_proves_it_and_refused_where_the_backend_refuses() {
    let slow = Duration::from_secs(60);
    let stage =
        Stage::before(vec![comfy(Generation::V2024).await], |config| config.poll_interval = slow).await;
    stage.all_take_jobs().await;
    stage.comfys[0].fail(Fault::always("/system_stats", FaultKind::Status(500)));
    let (status, freed) = free(&stage.client).await;
    assert_eq!(
        (status, &freed["proved"], &freed["vram_after"]),
        (202, &json!(false), &Value::Null),
        "{freed}"
    );
    assert_eq!(stage.comfys[0].counters().frees, 1);
    stage.comfys[0].fail(Fault::once("/free", FaultKind::Status(500)));
    let (status, refused) = free(&stage.client).await;
    assert_eq!((status, &refused["error"]["type"]), (502, &json!("backend_refused")), "{refused}");
    let (status, refused) = stage.client.post("/orchestrator/v1/backends/a/free", &json!({})).await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("nothing_to_free")));
}

#[tokio::test]
async fn a_backend_that_is_down_can_be_drained_and_removed_but_not_freed() {
    let gone = comfy(Generation::V0_8).await;
    gone.kill().await;
    let state = tempfile::tempdir().unwrap();
    let program = Program::configured(&configuration(&[gone]), state.path()).await;
    let is_down = async || (backend(&program.client, "a").await["state"] == "down").then_some(());
    until("the backend is down", is_down).await;
    assert_eq!(free(&program.client).await.0, 503);
    let (status, drained) = act(&program.client, "a", "drain").await;
    assert_eq!((status, &drained["drain"]["state"]), (200, &json!("drained")));
    assert_eq!(remove(&program.client, "a", "").await.0, 200);
    assert!(names(&program.client).await.is_empty());
}

#[tokio::test]
async fn no_job_runs_twice_however_often_its_backend_is_removed_and_added_again() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let submitting = async {
        let mut ids = Vec::new();
        for seed in 0..60 {
            ids.push(stage.client.submit(&picture(seed)).await);
        }
        ids
    };
    let changing = async {
        for _ in 0..5 {
            let gone = async || (remove(&stage.client, "b", "").await.0 == 200).then_some(());
            until("the backend has no job for a moment", gone).await;
            assert_eq!(add(&stage.client, "b", &stage.comfys[1]).await.0, 201);
            takes_jobs(&stage.client, "b", true).await;
        }
    };
    let (ids, ()) = tokio::join!(submitting, changing);
    for id in &ids {
        stage.client.succeeded(id).await;
        assert_eq!(stage.runs_of(id), 1, "{id}");
    }
}
