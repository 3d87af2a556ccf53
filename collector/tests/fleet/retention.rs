//! Ended jobs are forgotten, the oldest-ended first, and no other job ever is.

use std::time::Duration;

use collector::config::History;
use serde_json::json;
use sim::Generation;

use super::prompts::picture;
use super::stage::{Stage, comfy};
use super::wait::until;

async fn remembering(history: History) -> Stage {
    let stage = Stage::before(vec![comfy(Generation::V0_8).await], |config| config.history = history).await;
    stage.all_take_jobs().await;
    stage
}

async fn are_remembered(stage: &Stage, ids: &[String]) {
    let ask = async || {
        let history = stage.client.get("/history").await;
        history.as_object().unwrap().keys().eq(ids).then_some(())
    };
    until(&format!("{ids:?} are remembered and no other"), ask).await;
}

#[tokio::test]
async fn only_so_many_ended_jobs_are_remembered_and_what_waits_is_not_forgotten() {
    let stage = remembering(History { jobs: 2, ..History::default() }).await;
    let mut ids = Vec::new();
    for seed in 0..5 {
        let id = stage.client.submit(&picture(seed)).await;
        stage.client.ended(&id).await;
        ids.push(id);
    }
    stage.comfys[0].hold();
    for seed in 5..9 {
        ids.push(stage.client.submit(&picture(seed)).await);
    }
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    are_remembered(&stage, &ids[3..5]).await;
    assert_eq!(stage.client.get("/prompt").await, json!({"exec_info": {"queue_remaining": 4}}));
    let forgotten = stage.client.ask(&format!("/api/jobs/{}", ids[0])).await;
    assert_eq!(forgotten, (404, json!({"error": "Job not found"})));
    stage.comfys[0].release();
    are_remembered(&stage, &ids[7..]).await;
    assert_eq!(stage.comfys[0].counters().executed, 9);
}

#[tokio::test]
async fn jobs_that_ended_long_ago_are_forgotten_and_one_that_was_submitted_then_is_not() {
    let stage = remembering(History { age: Some(Duration::ZERO), ..History::default() }).await;
    stage.comfys[0].hold();
    let ids = [stage.client.submit(&picture(1)).await, stage.client.submit(&picture(2)).await];
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.client.post(&format!("/api/jobs/{}/cancel", ids[1]), &json!({})).await;
    let is_forgotten = async |id: &str| {
        let route = format!("/orchestrator/v1/jobs/{id}");
        until("the job is forgotten", async || (stage.client.ask(&route).await.0 == 404).then_some(())).await;
    };
    is_forgotten(&ids[1]).await;
    assert_eq!(stage.client.queue().await.0, ids[..1]);
    stage.comfys[0].release();
    is_forgotten(&ids[0]).await;
    assert_eq!(stage.comfys[0].counters().executed, 1);
}
