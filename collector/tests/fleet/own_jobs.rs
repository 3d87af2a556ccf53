//! The collector's own routes for jobs: the list of all, stopping one, submitting one once more.

use serde_json::{Value, json};
use sim::{Generation, Outcome};

use super::prompts::{MODEL, failing, picture, plain};
use super::stage::{BOTH, Stage, outcomes_of};

const UNKNOWN: &str = "0a0a0a0a-1111-4222-8333-444444444444";

async fn listed(stage: &Stage, query: &str) -> Vec<String> {
    let page = stage.client.get(&format!("/orchestrator/v1/jobs{query}")).await;
    let ids = page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned());
    ids.collect()
}

#[tokio::test]
async fn live_and_ended_jobs_are_listed_newest_first_and_found_by_what_they_are() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let good = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&good).await;
    let bad = stage.another("you").submit(&failing("value")).await;
    stage.client.ended(&bad).await;
    stage.comfys[0].hold();
    let running = stage.client.submit(&picture(2)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waiting = stage.client.submit(&plain(7)).await;
    let cancelled = stage.client.submit(&plain(8)).await;
    stage.client.post(&format!("/api/jobs/{cancelled}/cancel"), &json!({})).await;
    for (query, expected) in [
        ("", vec![&cancelled, &waiting, &running, &bad, &good]),
        ("?state=waiting,dispatched", vec![&waiting, &running]),
        ("?state=failed", vec![&bad]),
        ("?state=cancelled", vec![&cancelled]),
        ("?client=you", vec![&bad]),
        ("?backend=a", vec![&running, &bad, &good]),
        ("?backend=b", vec![]),
        (&format!("?model={MODEL}&state=succeeded"), vec![&good]),
        (&format!("?model={MODEL}"), vec![&running, &good]),
    ] {
        assert!(listed(&stage, query).await.iter().eq(expected), "{query}");
    }
    let jobs = stage.client.get("/orchestrator/v1/jobs").await["jobs"].clone();
    let job = |at: usize| jobs[at].as_object().unwrap();
    assert_eq!(
        job(1).keys().collect::<Vec<_>>(),
        ["id", "state", "number", "submitted_at", "client", "attempts", "models", "work"]
    );
    assert_eq!((&jobs[3]["error"], &jobs[3]["client"]), (&json!("this node always fails"), &json!("you")));
    assert_eq!((&jobs[4]["outputs_count"], &jobs[4]["models"]), (&json!(1), &json!([MODEL])));
    assert!(jobs[4]["ended_at"].as_u64() >= jobs[4]["submitted_at"].as_u64());
    stage.comfys[0].release();
    stage.client.succeeded(&waiting).await;
}

/// The times of one attempt in the order in which they were, those that are known.
fn times(attempt: &Value) -> Vec<u64> {
    let keys = ["dispatched_at", "started_at", "first_step_at", "ended_at"];
    keys.iter().filter_map(|key| attempt[key].as_u64()).collect()
}

#[tokio::test]
async fn when_each_attempt_began_and_made_its_first_step_is_told_after_its_end() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let comfy = &stage.comfys[0];
        comfy.hold();
        let id = stage.client.submit(&picture(1)).await;
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        let attempt = stage.client.job(&id).await["attempts"][0].clone();
        assert_eq!((times(&attempt).len(), &attempt["started_at"]), (1, &Value::Null), "it has not ended");
        // It is lost before its first step.
        comfy.restart().await.unwrap();
        comfy.release();
        stage.client.succeeded(&id).await;
        let told = stage.client.job(&id).await["attempts"].clone();
        let (lost, last) = (&told[0], &told[1]);
        assert!(times(lost).is_sorted() && times(last).is_sorted(), "{told}");
        assert!(lost["started_at"].is_u64() && lost.get("first_step_at").is_none(), "{lost}");
        assert_eq!(times(last).len(), 4, "{last}");
        let failed = stage.client.submit(&failing("value")).await;
        stage.client.ended(&failed).await;
        let attempt = stage.client.job(&failed).await["attempts"][0].clone();
        assert!(attempt["started_at"].is_u64() && attempt.get("first_step_at").is_none(), "{attempt}");
    }
}

#[tokio::test]
async fn pages_follow_one_another_while_jobs_come_in() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let mut ids = Vec::new();
    for seed in 0..5 {
        ids.push(stage.client.submit(&picture(seed)).await);
    }
    ids.reverse();
    let mut seen = Vec::new();
    let mut query = "?limit=2".to_owned();
    loop {
        let page = stage.client.get(&format!("/orchestrator/v1/jobs{query}")).await;
        seen.extend(page["jobs"].as_array().unwrap().iter().map(|job| job["id"].clone()));
        stage.client.submit(&picture(9)).await;
        let Some(next) = page["next"].as_str() else { break };
        query = format!("?limit=2&cursor={next}");
    }
    assert_eq!(json!(seen), json!(ids));
    stage.comfys[0].release();
}

#[tokio::test]
async fn a_list_that_cannot_be_made_is_refused_with_what_is_allowed() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for (query, wanted) in [
        ("?state=done", "waiting, dispatched"),
        ("?limit=0", "1 to 1000"),
        ("?limit=x", "limit"),
        ("?cursor=7", "`next`"),
        ("?backend=a/b", "letters"),
        ("?status=failed", "status"),
    ] {
        let (status, refusal) = stage.client.ask(&format!("/orchestrator/v1/jobs{query}")).await;
        assert_eq!(status, 400, "{query}");
        assert!(refusal["error"]["message"].as_str().unwrap().contains(wanted), "{refusal}");
    }
}

#[tokio::test]
async fn a_job_is_stopped_wherever_it_is_and_an_unknown_one_is_told() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let running = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waiting = stage.client.submit(&picture(2)).await;
    let cancel =
        async |id: &str| stage.client.post(&format!("/orchestrator/v1/jobs/{id}/cancel"), &json!({})).await;
    assert_eq!(cancel(&waiting).await, (200, json!({"cancelled": true})));
    assert_eq!(stage.client.job(&waiting).await["state"], "cancelled");
    assert_eq!(cancel(&running).await, (200, json!({"cancelled": true})));
    stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
    stage.comfys[0].release();
    stage.client.ended(&running).await;
    assert_eq!(cancel(&running).await, (200, json!({"cancelled": false})));
    assert_eq!(stage.client.job(&running).await["state"], "interrupted");
    for unknown in [UNKNOWN, "nonsense"] {
        assert_eq!(cancel(unknown).await.0, 404);
    }
}

#[tokio::test]
async fn an_ended_job_is_submitted_once_more_for_the_same_client_under_a_new_id() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let you = stage.another("you");
    let more = json!({"extra_data": {"extra_pnginfo": {"workflow": {"id": "w"}}, "orchestrator": {"max_attempts": 2}}});
    let first = you.submit_with(&picture(7), more).await;
    let history = stage.client.succeeded(&first).await;
    let retry =
        async |id: &str| stage.client.post(&format!("/orchestrator/v1/jobs/{id}/retry"), &json!({})).await;
    let (status, answer) = retry(&first).await;
    assert_eq!((status, &answer["retry_of"]), (200, &json!(first)));
    let second = answer["id"].as_str().unwrap();
    assert_ne!(second, first);
    let again = stage.client.succeeded(second).await;
    assert_eq!(stage.client.picture_in(&again).await, stage.client.picture_in(&history).await);
    let (before, after) = (&history["prompt"], &again["prompt"]);
    assert_eq!((&after[2], &after[4]), (&before[2], &before[4]));
    assert_eq!(
        (&after[3]["client_id"], &after[3]["extra_pnginfo"]),
        (&json!("you"), &before[3]["extra_pnginfo"])
    );
    assert_eq!(after[3]["orchestrator"], json!({"retry_of": first}));
    assert_eq!(stage.client.job(second).await["wishes"], json!({"max_attempts": 2}));
    assert_eq!(outcomes_of(&stage.comfys[0], second), [Outcome::Succeeded]);
    assert_eq!(stage.client.history_of(&first).await.unwrap(), history, "the first is left as it was");
}

#[tokio::test]
async fn a_cancelled_job_can_be_retried_and_one_that_has_not_ended_cannot() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let running = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waiting = stage.client.submit(&picture(2)).await;
    let retry = async |id: &str| -> (u16, Value) {
        stage.client.post(&format!("/orchestrator/v1/jobs/{id}/retry"), &json!({})).await
    };
    for live in [&running, &waiting] {
        let (status, refusal) = retry(live).await;
        assert_eq!((status, &refusal["error"]["type"]), (409, &json!("not_ended")));
    }
    assert_eq!(retry(UNKNOWN).await.0, 404);
    stage.client.post("/queue", &json!({"delete": [waiting]})).await;
    let (status, answer) = retry(&waiting).await;
    assert_eq!(status, 200, "{answer}");
    stage.comfys[0].release();
    stage.client.succeeded(answer["id"].as_str().unwrap()).await;
    assert_eq!(stage.runs_of(&waiting), 0);
}
