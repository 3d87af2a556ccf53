//! Stopping jobs, taking them out of the queue, freeing memory: by whoever asks, and never more than was asked for.

use std::time::{Duration, Instant};

use serde_json::json;
use sim::{Fault, FaultKind, Generation, Outcome};

use super::client::Client;
use super::prompts::{MODEL, picture};
use super::socket::Socket;
use super::stage::{BOTH, Stage, comfy, outcomes_of};
use super::wait::until;

async fn held(generation: Generation, servers: usize) -> Stage {
    let stage = Stage::of(generation, servers).await;
    stage.comfys.iter().for_each(sim::Comfy::hold);
    stage
}

async fn is_gone(client: &Client, id: &str) {
    let ask = async || {
        let (running, pending) = client.queue().await;
        (!running.iter().chain(&pending).any(|job| job == id)).then_some(())
    };
    until("the job has left the queue", ask).await;
}

/// Submitted behind the collector's back; gives the server's id.
async fn submit_directly(comfy: &sim::Comfy, seed: u64) -> String {
    Client::new(&comfy.url(), "somebody else").submit(&picture(seed)).await
}

#[tokio::test]
async fn a_running_job_is_interrupted_by_its_id_and_the_next_one_runs() {
    for generation in BOTH {
        let stage = held(generation, 1).await;
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let next = stage.client.submit(&picture(8)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
        stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
        stage.comfys[0].release();
        let frames = socket.until_end_of(&id).await;
        assert_eq!(frames.iter().filter(|frame| frame.kind() == "execution_interrupted").count(), 1);
        let messages = stage.client.ended(&id).await["status"]["messages"].clone();
        assert_eq!(messages.as_array().unwrap().last().unwrap()[0], "execution_interrupted");
        stage.client.succeeded(&next).await;
        assert_eq!(outcomes_of(&stage.comfys[0], &id), [Outcome::Interrupted]);
        assert_eq!(stage.comfys[0].counters().interrupts, 1);
    }
}

#[tokio::test]
async fn a_waiting_job_that_is_interrupted_never_runs_and_leaves_no_history() {
    for generation in BOTH {
        let stage = held(generation, 1).await;
        let running = stage.client.submit(&picture(7)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let id = stage.client.submit(&picture(8)).await;
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
        assert_eq!(stage.client.queue().await, (vec![running.clone()], vec![]));
        stage.comfys[0].release();
        stage.client.succeeded(&running).await;
        let last = stage.client.submit(&picture(9)).await;
        stage.client.succeeded(&last).await;
        assert_eq!((stage.client.history_of(&id).await, stage.runs_of(&id)), (None, 0));
        assert_eq!(stage.comfys[0].counters().interrupts, 0);
    }
}

#[tokio::test]
async fn an_interrupt_without_an_id_stops_what_runs_and_leaves_what_waits() {
    for generation in BOTH {
        let stage = held(generation, 1).await;
        let running = stage.client.submit(&picture(7)).await;
        let waiting = stage.client.submit(&picture(8)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let answer = stage.client.request(reqwest::Method::POST, "/interrupt").send().await.unwrap();
        assert_eq!(answer.status(), 200);
        stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
        stage.comfys[0].release();
        stage.client.succeeded(&waiting).await;
        assert_eq!(outcomes_of(&stage.comfys[0], &running), [Outcome::Interrupted]);
    }
}

#[tokio::test]
async fn an_interrupt_of_an_unknown_job_stops_nothing() {
    let stage = held(Generation::V2024, 1).await;
    let id = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    for unknown in ["0a0a0a0a-1111-4222-8333-444444444444", "nonsense"] {
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": unknown})).await.0, 200);
    }
    stage.comfys[0].release();
    stage.client.succeeded(&id).await;
    assert_eq!(stage.comfys[0].counters().interrupts, 0);
}

#[tokio::test]
async fn stopping_a_job_behind_somebody_elses_prompt_leaves_that_one_alone() {
    for generation in BOTH {
        // So seldom polled that what somebody else submits is not noticed.
        let interval = Duration::from_secs(60);
        let stage =
            Stage::before(vec![comfy(generation).await], |config| config.poll_interval = interval).await;
        stage.all_take_jobs().await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        let theirs = submit_directly(comfy, 1).await;
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        let id = stage.client.submit(&picture(7)).await;
        comfy.wait_for(|state| state.pending.len() == 1).await.unwrap();
        assert_eq!(stage.client.queue().await.0, std::slice::from_ref(&id));
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
        is_gone(&stage.client, &id).await;
        comfy.release();
        comfy.wait_for(|state| state.counters.executed == 1).await.unwrap();
        assert_eq!(comfy.state().outcome(&theirs), Some(Outcome::Succeeded));
        assert_eq!((stage.runs_of(&id), comfy.counters().interrupts), (0, 0));
        assert_eq!(stage.client.history_of(&id).await, None);
    }
}

#[tokio::test]
async fn a_stop_that_the_backend_did_not_hear_is_told_again() {
    for (route, running) in [("POST /queue", false), ("POST /interrupt", true)] {
        let interval = Duration::from_secs(60);
        let stage =
            Stage::before(vec![comfy(Generation::V0_8).await], |config| config.poll_interval = interval)
                .await;
        stage.all_take_jobs().await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        if !running {
            submit_directly(comfy, 1).await;
        }
        let id = stage.client.submit(&picture(7)).await;
        comfy
            .wait_for(|state| state.waits_at_gate && state.pending.len() == usize::from(!running))
            .await
            .unwrap();
        comfy.fail(Fault::once(route, FaultKind::Status(500)));
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
        let twice =
            |state: &sim::State| state.counters.requests.get(route).is_some_and(|requests| *requests == 2);
        comfy.wait_for(twice).await.unwrap();
        comfy.release();
        is_gone(&stage.client, &id).await;
        let ends = if running { vec![Outcome::Interrupted] } else { vec![] };
        assert_eq!(outcomes_of(comfy, &id), ends);
    }
}

#[tokio::test]
async fn a_job_that_is_stopped_while_it_is_being_sent_does_not_run_to_its_end() {
    for generation in BOTH {
        let stage = held(generation, 1).await;
        let comfy = &stage.comfys[0];
        comfy.fail(Fault::once("POST /prompt", FaultKind::Delay(Duration::from_millis(200))));
        let id = stage.client.submit(&picture(7)).await;
        comfy.wait_for(|state| state.counters.requests.contains_key("POST /prompt")).await.unwrap();
        assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
        comfy.wait_for(|state| state.counters.interrupts == 1).await.unwrap();
        comfy.release();
        is_gone(&stage.client, &id).await;
        assert_eq!(outcomes_of(comfy, &id), [Outcome::Interrupted]);
    }
}

#[tokio::test]
async fn a_job_that_is_stopped_after_its_backend_died_is_not_run_again() {
    let stage = held(Generation::V0_8, 2).await;
    let mut socket = Socket::open(&stage.client).await;
    let id = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].kill().await;
    assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": id})).await.0, 200);
    stage.comfys[1].release();
    let frames = socket.until_end_of(&id).await;
    assert!(frames.iter().any(|frame| frame.kind() == "execution_interrupted"), "{frames:?}");
    let status = stage.client.ended(&id).await["status"].clone();
    assert_eq!(status["completed"], false);
    assert_eq!(stage.runs_of(&id), 1);
}

#[tokio::test]
async fn somebody_elses_prompts_are_waited_for_and_never_touched() {
    for generation in BOTH {
        let stage = held(generation, 2).await;
        let theirs = [submit_directly(&stage.comfys[0], 1).await, submit_directly(&stage.comfys[0], 2).await];
        let backlog = "orchestrator_collector_backend_backlog{backend=\"a\"}";
        until("their prompts are seen", async || stage.client.metric(backlog).await.filter(|n| *n == 2.0))
            .await;
        stage.comfys[1].release();
        let id = stage.client.submit(&picture(7)).await;
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&stage.comfys[1], &id), [Outcome::Succeeded]);
        stage.client.post("/queue", &json!({"clear": true})).await;
        stage.client.post("/interrupt", &json!({})).await;
        stage.comfys[0].release();
        stage.comfys[0].wait_for(|state| state.counters.executed == 2).await.unwrap();
        let outcomes = theirs.map(|id| stage.comfys[0].state().outcome(&id));
        assert_eq!(outcomes, [Some(Outcome::Succeeded); 2]);
    }
}

#[tokio::test]
async fn waiting_jobs_can_be_deleted_from_the_queue_and_the_running_one_cannot() {
    let stage = held(Generation::V0_8, 1).await;
    let mut ids = Vec::new();
    for seed in 0..4 {
        ids.push(stage.client.submit(&picture(seed)).await);
    }
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let delete = json!({"delete": [ids[0], ids[2], "nonsense"]});
    assert_eq!(stage.client.post("/queue", &delete).await.0, 200);
    assert_eq!(stage.client.queue().await, (ids[..1].to_vec(), vec![ids[1].clone(), ids[3].clone()]));
    assert_eq!(stage.client.post("/queue", &json!({"clear": true})).await.0, 200);
    assert_eq!(stage.client.queue().await, (ids[..1].to_vec(), vec![]));
    stage.comfys[0].release();
    stage.client.succeeded(&ids[0]).await;
    assert_eq!(stage.client.get("/history").await.as_object().unwrap().len(), 1);
    assert_eq!(stage.comfys[0].counters().accepted, 1);
}

#[tokio::test]
async fn memory_is_freed_on_all_backends_or_on_the_one_that_is_named() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let frees = |at: usize| stage.comfys[at].counters().frees;
        let everything = json!({"unload_models": true, "free_memory": true});
        assert_eq!(stage.client.post("/free", &everything).await.0, 200);
        for comfy in &stage.comfys {
            comfy.wait_for(|state| state.counters.frees == 1).await.unwrap();
        }
        let one = json!({"unload_models": true, "backend": "b"});
        assert_eq!(stage.client.post("/free", &one).await.0, 200);
        stage.comfys[1].wait_for(|state| state.counters.frees == 2).await.unwrap();
        assert_eq!((frees(0), frees(1)), (1, 2));
        let (status, refusal) = stage.client.post("/free", &json!({"backend": "z"})).await;
        assert_eq!(status, 400);
        let message = refusal["error"]["message"].as_str().unwrap();
        assert!(message.contains("\"z\"") && message.contains("a, b"), "{message}");
    }
}

async fn polls(comfy: &sim::Comfy, more: u64) {
    let count = |state: &sim::State| state.counters.requests.get("GET /prompt").copied().unwrap_or_default();
    let before = count(&comfy.state());
    comfy.wait_for(|state| count(state) >= before + more).await.unwrap();
}

#[tokio::test]
async fn a_backend_frees_its_memory_once_when_it_has_been_idle_and_not_while_it_works() {
    const IDLE: Duration = Duration::from_millis(300);
    let stage =
        Stage::before(vec![comfy(Generation::V0_8).await], |config| config.freeing.after_idle = Some(IDLE))
            .await;
    stage.all_take_jobs().await;
    let comfy = &stage.comfys[0];
    // Twenty polls are a second: it holds nothing of ours yet, so there is nothing to free.
    polls(comfy, 20).await;
    assert_eq!(comfy.counters().frees, 0);
    comfy.hold();
    let id = stage.client.submit(&picture(7)).await;
    comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    polls(comfy, 20).await;
    assert_eq!(comfy.counters().frees, 0, "it works");
    let worked = Instant::now();
    comfy.release();
    stage.client.succeeded(&id).await;
    comfy.wait_for(|state| state.counters.frees == 1 && state.loaded.is_empty()).await.unwrap();
    // A millisecond less, as that is how finely the collector counts.
    assert!(worked.elapsed() >= IDLE - Duration::from_millis(1));
    polls(comfy, 20).await;
    assert_eq!(comfy.counters().frees, 1, "once an idle spell");
    let id = stage.client.submit(&picture(8)).await;
    stage.client.succeeded(&id).await;
    comfy.wait_for(|state| state.counters.frees == 2).await.unwrap();
    assert_eq!(comfy.counters().loads[MODEL], 2);
    let freed = "orchestrator_collector_frees_total{outcome=\"unverified\",reason=\"idle\"}";
    until("both are counted", async || stage.client.metric(freed).await.filter(|n| *n == 2.0)).await;
}
