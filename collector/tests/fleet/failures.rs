//! Backends that die, hang, lose answers and connections: every accepted job still ends, and runs no oftener than it must.

use std::time::Duration;

use serde_json::json;
use sim::{Fault, FaultKind, Generation, Outcome};

use super::prompts::{expected, picture};
use super::socket::Socket;
use super::stage::{BOTH, Stage, comfy, outcomes_of, takes_jobs};
use super::wait::until;

const POST: &str = "POST /prompt";

async fn is_right(stage: &Stage, id: &str, seed: u64) {
    let history = stage.client.succeeded(id).await;
    assert_eq!(stage.client.picture_in(&history).await, expected(seed));
}

/// The backends of a job's attempts, in their order.
async fn tried(stage: &Stage, id: &str) -> Vec<String> {
    let job = stage.client.job(id).await;
    let attempts = job["attempts"].as_array().unwrap().iter();
    attempts.map(|attempt| attempt["backend"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn a_job_survives_the_death_of_its_backend() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        stage.comfys[0].hold();
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        stage.comfys[0].kill().await;
        let frames = socket.until_end_of(&id).await;
        assert_eq!(frames.iter().filter(|frame| frame.kind() == "execution_success").count(), 1);
        is_right(&stage, &id, 7).await;
        assert_eq!(tried(&stage, &id).await, ["a", "b"]);
        assert_eq!(outcomes_of(&stage.comfys[0], &id), [Outcome::Killed]);
        assert_eq!(outcomes_of(&stage.comfys[1], &id), [Outcome::Succeeded]);
        let requeued = "orchestrator_collector_requeues_total{reason=\"process_gone\"}";
        assert_eq!(stage.client.metric(requeued).await, Some(1.0));
    }
}

#[tokio::test]
async fn a_job_runs_again_on_its_backend_when_that_was_restarted_at_once() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        let id = stage.client.submit(&picture(7)).await;
        let waits = stage.client.submit(&picture(8)).await;
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.restart().await.unwrap();
        comfy.release();
        is_right(&stage, &id, 7).await;
        is_right(&stage, &waits, 8).await;
        assert_eq!(outcomes_of(comfy, &id), [Outcome::Killed, Outcome::Succeeded]);
        assert_eq!(outcomes_of(comfy, &waits), [Outcome::Succeeded]);
    }
}

#[tokio::test]
async fn waiting_jobs_outlast_a_fleet_that_is_down() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].kill().await;
    takes_jobs(&stage.client, "a", false).await;
    let id = stage.client.submit(&picture(7)).await;
    assert_eq!(stage.client.queue().await, (vec![], vec![id.clone()]));
    stage.comfys[0].restart().await.unwrap();
    is_right(&stage, &id, 7).await;
    assert_eq!(tried(&stage, &id).await, ["a"]);
}

#[tokio::test]
async fn an_end_that_came_while_the_backends_socket_was_lost_is_still_told() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.drop_sockets();
        comfy.release();
        let frames = socket.until_end_of(&id).await;
        let count = |kind: &str| frames.iter().filter(|frame| frame.kind() == kind).count();
        assert_eq!((count("executed"), count("execution_success")), (1, 1), "{frames:?}");
        is_right(&stage, &id, 7).await;
        assert_eq!(outcomes_of(comfy, &id), [Outcome::Succeeded]);
    }
}

#[tokio::test]
async fn a_job_is_followed_on_after_its_backends_socket_was_opened_again() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        let mut socket = Socket::open(&stage.client).await;
        let id = stage.client.submit(&picture(7)).await;
        let state = comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.drop_sockets();
        comfy.wait_for(|now| now.counters.sockets > state.counters.sockets).await.unwrap();
        comfy.release();
        let frames = socket.until_end_of(&id).await;
        assert!(frames.iter().any(|frame| frame.kind() == "progress"), "{frames:?}");
        is_right(&stage, &id, 7).await;
        assert_eq!(stage.runs_of(&id), 1);
    }
}

#[tokio::test]
async fn a_prompt_whose_answer_was_lost_after_its_acceptance_runs_once() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        for comfy in &stage.comfys {
            comfy.fail(Fault::once(POST, FaultKind::ResetAfterAccepting));
        }
        let id = stage.client.submit(&picture(7)).await;
        is_right(&stage, &id, 7).await;
        assert_eq!((stage.runs_of(&id), tried(&stage, &id).await.len()), (1, 1));
    }
}

#[tokio::test]
async fn a_prompt_that_was_lost_on_its_way_is_sent_again() {
    for generation in BOTH {
        for kind in [FaultKind::Reset, FaultKind::Status(500), FaultKind::Garbage] {
            let stage = Stage::of(generation, 1).await;
            stage.comfys[0].fail(Fault::once(POST, kind));
            let id = stage.client.submit(&picture(7)).await;
            is_right(&stage, &id, 7).await;
            assert_eq!((stage.runs_of(&id), tried(&stage, &id).await.len()), (1, 2), "{kind:?}");
        }
    }
}

#[tokio::test]
async fn a_job_that_no_backend_takes_ends_with_the_reason_after_so_many_attempts() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].fail(Fault::always(POST, FaultKind::Status(500)));
    let mut socket = Socket::open(&stage.client).await;
    let id = stage.client.submit(&picture(7)).await;
    let frames = socket.until_end_of(&id).await;
    let error = frames.iter().find(|frame| frame.kind() == "execution_error").unwrap().data();
    assert!(error["exception_message"].as_str().unwrap().contains("3 attempts were lost"), "{error}");
    let history = stage.client.ended(&id).await;
    assert_eq!(history["status"]["status_str"], "error");
    assert_eq!(history["status"]["messages"][0], json!(["execution_error", error]));
    assert_eq!((stage.runs_of(&id), tried(&stage, &id).await.len()), (0, 3));
}

#[tokio::test]
async fn a_hung_backend_holds_up_its_own_job_only_and_that_one_runs_once() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.comfys[0].hold();
    let held = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].hang();
    let other = stage.client.submit(&picture(8)).await;
    is_right(&stage, &other, 8).await;
    assert_eq!(tried(&stage, &other).await, ["b"]);
    stage.comfys[0].release();
    stage.comfys[0].unhang();
    is_right(&stage, &held, 7).await;
    assert_eq!(outcomes_of(&stage.comfys[0], &held), [Outcome::Succeeded]);
    assert_eq!(stage.runs_of(&held), 1);
}

/// Makes the first backend answer nothing but errors, and waits until it counts as down.
async fn make_unreachable(stage: &Stage) {
    stage.comfys[0].fail(Fault::always("*", FaultKind::Status(503)));
    stage.comfys[0].drop_sockets();
    let up = async || stage.client.metric("orchestrator_collector_backend_up{backend=\"a\"}").await;
    until("the backend is down", async || up().await.filter(|up| *up == 0.0)).await;
}

#[tokio::test]
async fn a_job_is_not_run_elsewhere_while_its_backend_may_still_run_it() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.comfys[0].hold();
    let id = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    make_unreachable(&stage).await;
    let other = stage.client.submit(&picture(8)).await;
    is_right(&stage, &other, 8).await;
    assert_eq!(stage.client.queue().await.0, std::slice::from_ref(&id));
    stage.comfys[0].clear_faults();
    stage.comfys[0].release();
    is_right(&stage, &id, 7).await;
    assert_eq!((stage.runs_of(&id), tried(&stage, &id).await), (1, vec!["a".to_owned()]));
}

#[tokio::test]
async fn a_job_is_run_elsewhere_while_its_backend_may_still_run_it_if_the_operator_says_so() {
    let comfys = vec![comfy(Generation::V0_8).await, comfy(Generation::V0_8).await];
    let patience = Some(Duration::from_millis(200));
    let stage = Stage::before(comfys, |config| config.rerun_after_unreachable = patience).await;
    stage.all_take_jobs().await;
    stage.comfys[0].hold();
    let id = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    make_unreachable(&stage).await;
    is_right(&stage, &id, 7).await;
    assert_eq!(tried(&stage, &id).await, ["a", "b"]);
}

#[tokio::test]
async fn results_are_kept_as_they_were_told_when_the_backends_history_cannot_be_read() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        stage.comfys[0].fail(Fault::always("/history*", FaultKind::Status(500)));
        let id = stage.client.submit(&picture(7)).await;
        is_right(&stage, &id, 7).await;
        assert_eq!(stage.runs_of(&id), 1);
    }
}

#[tokio::test]
async fn a_backend_that_dies_takes_no_other_backends_jobs_with_it() {
    let stage = Stage::of(Generation::V0_8, 3).await;
    stage.comfys.iter().for_each(sim::Comfy::hold);
    let mut ids = Vec::new();
    for seed in 0..9 {
        ids.push(stage.client.submit(&picture(seed)).await);
    }
    for comfy in &stage.comfys {
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
    }
    stage.comfys[1].kill().await;
    stage.comfys.iter().for_each(sim::Comfy::release);
    for (seed, id) in (0..).zip(&ids) {
        is_right(&stage, id, seed).await;
    }
    let runs: usize = ids.iter().map(|id| stage.runs_of(id)).sum();
    assert_eq!(runs, 10, "nine jobs, and again the one that the dead backend ran");
}

#[tokio::test]
async fn whatever_befalls_the_fleet_every_job_ends_well_and_only_what_was_killed_runs_again() {
    let stage = Stage::of(Generation::V0_8, 3).await;
    let mut ids = Vec::new();
    for round in 0..4_u64 {
        stage.comfys.iter().for_each(sim::Comfy::hold);
        for seed in 0..6 {
            ids.push(stage.client.submit(&picture(round * 6 + seed)).await);
        }
        for comfy in &stage.comfys {
            comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        }
        let turn = |nth: u64| &stage.comfys[usize::try_from((round + nth) % 3).unwrap()];
        turn(0).drop_sockets();
        turn(1).fail(Fault::once(POST, FaultKind::ResetAfterAccepting));
        turn(1).fail(Fault::once(POST, FaultKind::Reset));
        turn(2).restart().await.unwrap();
        stage.comfys.iter().for_each(sim::Comfy::release);
        for (seed, id) in (round * 6..).zip(&ids[ids.len() - 6..]) {
            is_right(&stage, id, seed).await;
        }
        stage.all_take_jobs().await;
        stage.comfys.iter().for_each(sim::Comfy::clear_faults);
    }
    for id in &ids {
        let outcomes: Vec<Outcome> = stage.comfys.iter().flat_map(|comfy| outcomes_of(comfy, id)).collect();
        let succeeded = outcomes.iter().filter(|outcome| **outcome == Outcome::Succeeded).count();
        let killed = outcomes.iter().filter(|outcome| **outcome == Outcome::Killed).count();
        assert_eq!((succeeded, killed), (1, outcomes.len() - 1), "{outcomes:?}");
    }
}
