//! The collector itself is killed and started again on the same state: nothing accepted is lost, nothing runs twice.

use serde_json::{Value, json};
use sim::{Comfy, Fault, FaultKind, Generation, Outcome};

use super::client::{http, png};
use super::program::Program;
use super::prompts::{copy_of, expected, failing, picture};
use super::socket::Socket;
use super::stage::{BOTH, comfy, outcomes_of, takes_jobs};
use super::wait::until;

async fn start(comfys: &[Comfy], state: &tempfile::TempDir) -> Program {
    let program = Program::start(comfys, state.path()).await;
    for name in &super::stage::NAMES[..comfys.len()] {
        takes_jobs(&program.client, name, true).await;
    }
    program
}

async fn is_right(program: &Program, id: &str, seed: u64) {
    let history = program.client.succeeded(id).await;
    assert_eq!(program.client.picture_in(&history).await, expected(seed));
}

async fn is_ready(program: &Program) {
    let ask = async || (program.client.ask("/-/ready").await.0 == 200).then_some(());
    until("the collector is ready", ask).await;
}

#[tokio::test]
async fn every_job_runs_exactly_once_although_the_collector_is_killed_under_it() {
    for generation in BOTH {
        let state = tempfile::tempdir().unwrap();
        let comfys = [comfy(generation).await, comfy(generation).await];
        comfys[0].hold();
        comfys[1].fail(Fault::once("POST /prompt", FaultKind::Hang));
        let program = start(&comfys, &state).await;
        // The first runs on a, the second was sent to b and not heard of, the others wait.
        let mut ids = Vec::new();
        for seed in 0..6 {
            ids.push(program.client.submit(&picture(seed)).await);
        }
        comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        comfys[1].wait_for(|state| state.counters.requests.contains_key("POST /prompt")).await.unwrap();
        assert_eq!(program.client.queue().await, (ids[..2].to_vec(), ids[2..].to_vec()));
        program.kill();
        let program = start(&comfys, &state).await;
        comfys[0].release();
        for (seed, id) in (0..).zip(&ids) {
            is_right(&program, id, seed).await;
            let runs = comfys.iter().flat_map(|comfy| outcomes_of(comfy, id));
            assert_eq!(runs.collect::<Vec<_>>(), [Outcome::Succeeded]);
        }
        assert_eq!(program.client.get("/history").await.as_object().unwrap().len(), ids.len());
        is_ready(&program).await;
    }
}

#[tokio::test]
async fn a_job_that_ended_while_the_collector_was_dead_is_found_and_not_run_again() {
    for generation in BOTH {
        let state = tempfile::tempdir().unwrap();
        let comfys = [comfy(generation).await];
        comfys[0].hold();
        let program = start(&comfys, &state).await;
        let good = program.client.submit(&picture(1)).await;
        comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        program.kill();
        comfys[0].release();
        comfys[0].wait_for(|state| state.counters.executed == 1).await.unwrap();
        let program = start(&comfys, &state).await;
        is_right(&program, &good, 1).await;
        assert_eq!(outcomes_of(&comfys[0], &good), [Outcome::Succeeded]);
    }
}

#[tokio::test]
async fn the_times_of_an_attempt_outlast_a_kill_and_those_that_it_hid_are_absent() {
    for generation in BOTH {
        let state = tempfile::tempdir().unwrap();
        let comfys = [comfy(generation).await];
        let program = start(&comfys, &state).await;
        let whole = program.client.submit(&picture(1)).await;
        program.client.succeeded(&whole).await;
        comfys[0].hold();
        let cut = program.client.submit(&picture(2)).await;
        comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let before = program.client.job(&whole).await;
        assert!(before["attempts"][0]["first_step_at"].is_u64(), "{before}");
        program.kill();
        let program = start(&comfys, &state).await;
        is_ready(&program).await;
        comfys[0].release();
        is_right(&program, &cut, 2).await;
        assert_eq!(program.client.job(&whole).await["attempts"], before["attempts"]);
        let attempt = program.client.job(&cut).await["attempts"][0].clone();
        assert_eq!(attempt["ending"], "succeeded");
        for unheard in ["started_at", "first_step_at"] {
            assert!(attempt.get(unheard).is_none(), "{attempt}");
        }
    }
}

#[tokio::test]
async fn a_prompt_that_the_backend_took_just_before_the_kill_is_known_by_its_mark() {
    for generation in BOTH {
        let state = tempfile::tempdir().unwrap();
        let comfys = [comfy(generation).await];
        comfys[0].hold();
        // The answer never comes, and neither does that of the lookup that would tell.
        comfys[0].fail(Fault::once("POST /prompt", FaultKind::ResetAfterAccepting));
        comfys[0].fail(Fault::always("/queue", FaultKind::Status(500)));
        let program = start(&comfys, &state).await;
        let id = program.client.submit(&picture(1)).await;
        comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        program.kill();
        comfys[0].clear_faults();
        let program = start(&comfys, &state).await;
        is_ready(&program).await;
        comfys[0].release();
        is_right(&program, &id, 1).await;
        assert_eq!(outcomes_of(&comfys[0], &id), [Outcome::Succeeded]);
    }
}

#[tokio::test]
async fn a_job_whose_backend_died_with_the_collector_runs_again() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await, comfy(Generation::V0_8).await];
    comfys[0].hold();
    let program = start(&comfys, &state).await;
    let id = program.client.submit(&picture(1)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    program.kill();
    comfys[0].kill().await;
    let program = Program::start(&comfys, state.path()).await;
    is_right(&program, &id, 1).await;
    assert_eq!(outcomes_of(&comfys[1], &id), [Outcome::Succeeded]);
}

#[tokio::test]
async fn a_client_that_comes_back_after_the_restart_hears_the_end() {
    for generation in BOTH {
        let state = tempfile::tempdir().unwrap();
        let comfys = [comfy(generation).await];
        comfys[0].hold();
        let program = start(&comfys, &state).await;
        let id = program.client.submit(&picture(1)).await;
        comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        program.kill();
        let program = start(&comfys, &state).await;
        let mut socket = Socket::open(&program.client).await;
        is_ready(&program).await;
        comfys[0].release();
        let frames = socket.until_end_of(&id).await;
        assert!(frames.iter().any(|frame| frame.kind() == "executed"), "{frames:?}");
        assert!(frames.iter().all(|frame| frame.job().is_none_or(|job| job == id)), "{frames:?}");
    }
}

#[tokio::test]
async fn what_was_stored_reads_the_same_after_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let program = start(&comfys, &state).await;
    let client = &program.client;
    let (good, bad) = (client.submit(&picture(1)).await, client.submit(&failing("oom")).await);
    for id in [&good, &bad] {
        client.ended(id).await;
    }
    assert_eq!(client.upload("in.png", png(3), &[]).await.0, 200);
    comfys[0].hold();
    let running = client.submit(&picture(2)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    client
        .submit_with(&picture(3), json!({"number": 7.5, "extra_data": {"extra_pnginfo": {"z": 1, "a": [2]}}}))
        .await;
    client.submit_with(&picture(4), json!({"front": true})).await;
    client.submit(&copy_of("in.png")).await;
    let (history, queue) = (client.get("/history").await, client.get("/queue").await);
    let jobs = client.get("/api/jobs").await;
    assert_eq!(
        (queue["queue_running"].as_array().unwrap().len(), queue["queue_pending"].as_array().unwrap().len()),
        (1, 3)
    );
    program.kill();
    let program = start(&comfys, &state).await;
    is_ready(&program).await;
    assert_eq!(program.client.get("/history").await.to_string(), history.to_string());
    assert_eq!(program.client.get("/queue").await.to_string(), queue.to_string());
    assert_eq!(program.client.get("/api/jobs").await.to_string(), jobs.to_string());
    comfys[0].release();
    is_right(&program, &running, 2).await;
    assert_eq!(program.client.bytes("/view?filename=in.png&type=input").await, png(3));
}

#[tokio::test]
async fn an_id_is_still_taken_after_a_kill() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let program = start(&comfys, &state).await;
    let given = json!({"prompt_id": "0a0a0a0a-1111-4222-8333-444444444444"});
    let id = program.client.submit_with(&picture(1), given.clone()).await;
    is_right(&program, &id, 1).await;
    program.kill();
    let program = start(&comfys, &state).await;
    assert_eq!(program.client.submit_with(&picture(1), given.clone()).await, id);
    let (status, document) = program.client.post("/prompt", &program.client.body(&picture(2), given)).await;
    assert_eq!((status, &document["error"]["type"]), (409, &json!("prompt_id_taken")));
    assert_eq!(comfys[0].counters().accepted, 1);
}

#[tokio::test]
async fn numbers_go_on_after_a_kill_where_they_were() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    let number = async |program: &Program| {
        let (_, answer): (u16, Value) =
            program.client.post("/prompt", &program.client.body(&picture(1), json!({}))).await;
        answer["number"].as_u64().unwrap()
    };
    let program = start(&comfys, &state).await;
    let (first, second) = (number(&program).await, number(&program).await);
    program.kill();
    let program = start(&comfys, &state).await;
    assert!(first < second && second < number(&program).await);
}

#[tokio::test]
async fn told_to_stop_it_ends_well_and_its_job_is_found_again() {
    let state = tempfile::tempdir().unwrap();
    let comfys = [comfy(Generation::V0_8).await];
    comfys[0].hold();
    let program = start(&comfys, &state).await;
    let id = program.client.submit(&picture(1)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let mut socket = Socket::open(&program.client).await;
    let url = program.client.url.clone();
    assert_eq!(program.stop().await, 0);
    while socket.next().await.is_some() {}
    assert!(http().get(url).send().await.unwrap_err().is_connect());
    let program = start(&comfys, &state).await;
    comfys[0].release();
    is_right(&program, &id, 1).await;
    assert_eq!(outcomes_of(&comfys[0], &id), [Outcome::Succeeded]);
}
