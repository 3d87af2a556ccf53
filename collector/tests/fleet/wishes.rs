//! What a submission asks of the collector: where it may run, how often it is tried, and what of it is refused.

use reqwest::Method;
use serde_json::{Value, json};
use sim::Generation;

use super::client::{Answer, Client, answer};
use super::prompts::{picture, plain};
use super::stage::{BOTH, Stage, outcomes_of, takes_jobs};
use super::wait::until;

const ID: &str = "0a0a0a0a-1111-4222-8333-444444444444";

fn asking(wishes: Value) -> Value {
    json!({ "extra_data": { "orchestrator": wishes } })
}

async fn with_headers(client: &Client, body: &Value, headers: &[(&str, &str)]) -> Answer {
    let request = client.request(Method::POST, "/prompt").json(body);
    answer(headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))).await
}

/// A second server, marked with tags.
async fn add_tagged(stage: &Stage, name: &str, tags: Value) -> sim::Comfy {
    let comfy = super::stage::comfy(Generation::V0_8).await;
    let body = json!({"url": comfy.url(), "name": name, "tags": tags});
    let (status, shown) = stage.client.post("/orchestrator/v1/backends", &body).await;
    assert_eq!((status, &shown["tags"]), (201, &tags), "{shown}");
    takes_jobs(&stage.client, name, true).await;
    comfy
}

#[tokio::test]
async fn a_job_runs_on_the_backend_that_it_asks_for_and_waits_for_it_while_it_is_down() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        for seed in 0..4 {
            let id = stage.client.submit_with(&picture(seed), asking(json!({"backend": "b"}))).await;
            stage.client.succeeded(&id).await;
            assert_eq!(outcomes_of(&stage.comfys[1], &id).len(), 1);
        }
        stage.comfys[1].kill().await;
        takes_jobs(&stage.client, "b", false).await;
        let id = stage.client.submit_with(&picture(9), asking(json!({"backend": "b"}))).await;
        let said = async || {
            let job = stage.client.job(&id).await;
            (job["why_waiting"]["b"] == "is down").then_some(job)
        };
        let job = until("what keeps it is told", said).await;
        assert_eq!(
            (&job["state"], &job["why_waiting"]["a"]),
            (&json!("waiting"), &json!("the job asks for b"))
        );
        assert_eq!(job["wishes"], json!({"backend": "b"}));
        let free = stage.client.submit(&picture(10)).await;
        stage.client.succeeded(&free).await;
        stage.comfys[1].restart().await.unwrap();
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&stage.comfys[1], &id).len(), 1);
        assert_eq!(stage.client.job(&id).await["wishes"], json!({"backend": "b"}), "also once it has ended");
    }
}

#[tokio::test]
async fn a_job_runs_only_where_all_its_tags_are_carried() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let big = add_tagged(&stage, "big", json!(["fast", "vram-80"])).await;
    let _fast = add_tagged(&stage, "fast", json!(["fast"])).await;
    for seed in 0..4 {
        let id = stage.client.submit_with(&picture(seed), asking(json!({"tags": ["vram-80", "fast"]}))).await;
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&big, &id).len(), 1);
    }
    big.kill().await;
    takes_jobs(&stage.client, "big", false).await;
    let id = stage.client.submit_with(&picture(9), asking(json!({"tags": "vram-80"}))).await;
    let why = stage.client.job(&id).await["why_waiting"].clone();
    let asks = json!("the job asks for the tag vram-80");
    assert_eq!((&why["a"], &why["fast"]), (&asks, &asks), "{why}");
}

#[tokio::test]
async fn a_job_is_tried_no_more_often_than_it_asks_for() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let id = stage.client.submit_with(&picture(1), asking(json!({"max_attempts": 1}))).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].kill().await;
    let history = stage.client.ended(&id).await;
    assert_eq!(history["status"]["status_str"], "error", "{history}");
    assert!(history.to_string().contains("1 attempts were lost"), "{history}");
}

#[tokio::test]
async fn headers_ask_for_the_same_and_the_body_goes_before_them() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let headers = [
        ("X-Orchestrator-Backend", "b"),
        ("X-Orchestrator-Priority", "2.5"),
        ("X-Orchestrator-Max-Attempts", "2"),
        ("X-Orchestrator-Deadline", "2100-01-01T00:00:00Z"),
    ];
    let (status, refused) =
        with_headers(&stage.client, &stage.client.body(&picture(1), json!({})), &headers).await;
    assert_eq!(status, 400, "further ahead than a deadline may be: {refused}");
    let body = stage.client.body(&picture(1), asking(json!({"max_attempts": 5})));
    let (status, accepted) = with_headers(&stage.client, &body, &headers[..3]).await;
    assert_eq!(status, 200, "{accepted}");
    let id = accepted["prompt_id"].as_str().unwrap();
    stage.client.succeeded(id).await;
    let wishes = json!({"priority": 2.5, "backend": "b", "max_attempts": 5});
    assert_eq!(stage.client.job(id).await["wishes"], wishes);
    assert_eq!(outcomes_of(&stage.comfys[1], id).len(), 1);
}

#[tokio::test]
async fn what_cannot_be_meant_is_refused_by_name_and_nothing_is_queued() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    stage.comfys.iter().for_each(sim::Comfy::hold);
    for (wishes, field, wanted) in [
        (json!({"backend": "c"}), "backend", "one of a, b"),
        (json!({"tags": "big"}), "tags", "a (none), b (none)"),
        (json!({"priority": "high"}), "priority", "0.01 to 100"),
        (json!({"deadline": "soon"}), "deadline", "in 30m"),
        (json!({"max_attempts": 99}), "max_attempts", "1 to 10"),
        (json!({"tag": "x"}), "tag", "tags"),
        (json!([]), "orchestrator", "an object"),
    ] {
        for route in ["/prompt", "/orchestrator/v1/jobs"] {
            let body = stage.client.body(&picture(1), asking(wishes.clone()));
            let (status, refused) = stage.client.post(route, &body).await;
            let error = &refused["error"];
            assert_eq!((status, &error["type"]), (400, &json!("invalid_wish")), "{refused}");
            assert_eq!(error["extra_info"]["orchestrator"]["field"], field);
            assert!(error["message"].as_str().unwrap().contains(wanted), "{refused}");
        }
    }
    let only_b_has_it = stage.client.body(&plain(1), json!({"backend": "c"}));
    let (status, refused) = stage.client.post("/orchestrator/v1/jobs", &only_b_has_it).await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("invalid_wish")));
    assert_eq!(stage.client.queue().await, (vec![], vec![]));
}

#[tokio::test]
async fn the_own_route_takes_them_beside_the_workflow_and_a_retry_asks_again_for_all_but_the_deadline() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let more = json!({"backend": "b", "priority": 3, "deadline": "in 1h"});
    let (status, accepted) =
        stage.client.post("/orchestrator/v1/jobs", &stage.client.body(&picture(1), more)).await;
    assert_eq!(status, 201, "{accepted}");
    let id = accepted["id"].as_str().unwrap();
    stage.client.succeeded(id).await;
    let wishes = stage.client.job(id).await["wishes"].clone();
    assert_eq!((&wishes["backend"], &wishes["priority"]), (&json!("b"), &json!(3.0)));
    assert!(
        wishes["deadline"].as_u64().unwrap() > stage.client.job(id).await["submitted_at"].as_u64().unwrap()
    );
    let (status, retried) = stage.client.post(&format!("/orchestrator/v1/jobs/{id}/retry"), &json!({})).await;
    assert_eq!(status, 200, "{retried}");
    let again = retried["id"].as_str().unwrap();
    stage.client.succeeded(again).await;
    assert_eq!(stage.client.job(again).await["wishes"], json!({"backend": "b", "priority": 3.0}));
    assert_eq!(outcomes_of(&stage.comfys[1], again).len(), 1);
}

#[tokio::test]
async fn wishes_make_the_body_another_and_no_other_client_reads_them_in_documents() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let body = |wishes| {
        let mut body = stage.client.body(&picture(7), asking(wishes));
        body["prompt_id"] = json!(ID);
        body
    };
    let first = stage.client.post("/prompt", &body(json!({"deadline": "in 1h"}))).await;
    assert_eq!(first.0, 200, "{}", first.1);
    assert_eq!(stage.client.post("/prompt", &body(json!({"deadline": "in 1h"}))).await, first);
    assert_eq!(stage.client.post("/prompt", &body(json!({"deadline": "in 2h"}))).await.0, 409);
    let history = stage.client.succeeded(ID).await;
    assert_eq!(history["prompt"][3].get("orchestrator"), None, "{history}");
}
