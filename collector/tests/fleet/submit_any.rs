//! `POST /orchestrator/v1/jobs`: prompts, workflows and saved pictures become jobs like those of `POST /prompt`; and
//! where Prometheus finds the agents.

use reqwest::Method;
use serde_json::{Value, json};
use sim::Generation;

use super::client::{Answer, Client, answer, view_of};
use super::prompts::{expected, picture, picture_of, plain};
use super::stage::{BOTH, Stage};

const ROUTE: &str = "/orchestrator/v1/jobs";

/// What the web interface saves of `plain`, with a class of one's own for its first node.
fn workflow(class: &str, color: u32) -> Value {
    json!({
        "version": 0.4,
        "nodes": [
            {"id": 1, "type": class, "mode": 0, "inputs": [], "widgets_values": [4, 4, 1, color],
             "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
            {"id": 9, "type": "SaveImage", "mode": 0, "inputs": [{"name": "images", "type": "IMAGE", "link": 1}],
             "outputs": [], "widgets_values": ["plain"]},
        ],
        "links": [[1, 1, 0, 9, 0, "IMAGE"]],
    })
}

async fn submitted(answer: Answer) -> String {
    assert_eq!((answer.0, &answer.1["node_errors"]), (201, &json!({})), "{}", answer.1);
    answer.1["id"].as_str().unwrap().to_owned()
}

async fn post_picture(client: &Client, query: &str, bytes: Vec<u8>) -> Answer {
    answer(client.request(Method::POST, &format!("{ROUTE}{query}")).body(bytes)).await
}

#[tokio::test]
async fn a_prompt_a_workflow_and_the_picture_that_comes_of_it_all_run() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let client = &stage.client;
        let id = submitted(client.post(ROUTE, &client.body(&picture(7), json!({}))).await).await;
        let history = client.succeeded(&id).await;
        assert_eq!(client.picture_in(&history).await, expected(7));

        let given = "0a0a0a0a-1111-4222-8333-444444444444";
        let body = json!({"workflow": workflow("EmptyImage", 255), "client_id": "me", "prompt_id": given, "number": -7});
        assert_eq!(submitted(client.post(ROUTE, &body).await).await, given);
        let history = client.succeeded(given).await;
        assert_eq!(history["prompt"][2]["1"]["inputs"], plain(255)["1"]["inputs"]);
        assert_eq!((&history["prompt"][0], &history["prompt"][3]["client_id"]), (&json!(-7.0), &json!("me")));

        let saved = client.bytes(&view_of(&history["outputs"]["9"]["images"][0])).await;
        let id = submitted(post_picture(client, "?client_id=me&front=true", saved).await).await;
        let again = client.succeeded(&id).await;
        assert_eq!(again["prompt"][2], history["prompt"][2]);
        let pnginfo = |history: &Value| history["prompt"][3]["extra_pnginfo"]["workflow"].clone();
        assert_eq!(
            (pnginfo(&again), pnginfo(&history)),
            (body["workflow"].clone(), body["workflow"].clone())
        );
    }
}

#[tokio::test]
async fn what_gives_no_job_is_refused_by_the_node_where_there_is_one() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let client = &stage.client;
    let broken = json!({"nodes": [{"id": "x"}], "links": []});
    for (body, kind) in [
        (json!({}), "no_prompt"),
        (json!({"prompt": plain(1), "workflow": workflow("EmptyImage", 1)}), "ambiguous"),
        (json!({"prompt": {}}), "prompt_no_outputs"),
        (json!({"workflow": {"nodes": 7}}), "invalid_workflow"),
        (json!({"workflow": broken}), "invalid_workflow"),
        (json!({"workflow": workflow("Unheard", 1)}), "invalid_workflow"),
    ] {
        let (status, refused) = client.post(ROUTE, &body).await;
        assert_eq!((status, &refused["error"]["type"]), (400, &json!(kind)), "{body}: {refused}");
    }
    let (_, refused) = client.post(ROUTE, &json!({"workflow": workflow("Unheard", 1)})).await;
    assert_eq!(refused["node_errors"]["1"]["errors"][0]["type"], "missing_node_type");
    let theirs = client.post("/prompt", &client.body(&picture_of("unknown.safetensors", 1), json!({}))).await;
    let ours = client.post(ROUTE, &client.body(&picture_of("unknown.safetensors", 1), json!({}))).await;
    assert_eq!(theirs, ours, "the same checks");
    let (status, refused) = post_picture(client, "", super::client::png(1)).await;
    assert_eq!((status, &refused["error"]["type"]), (400, &json!("no_document")));
}

#[tokio::test]
async fn prometheus_finds_the_agents_of_all_backends_those_added_since_too() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    // Its agent's address is ComfyUI's own, where the old Python node has no page for Prometheus.
    assert_eq!(stage.client.get("/orchestrator/v1/sd").await, json!([]));
    let other = json!({"url": "http://127.0.0.1:9", "name": "b", "agent": "https://127.0.0.1:19"});
    assert_eq!(stage.client.post("/orchestrator/v1/backends", &other).await.0, 201);
    let found = stage.client.request(Method::GET, "/orchestrator/v1/sd").send().await.unwrap();
    assert_eq!(found.headers()["content-type"], "application/json", "Prometheus takes nothing else");
    let labels = json!({"backend": "b", "__scheme__": "https"});
    assert_eq!(
        found.json::<Value>().await.unwrap(),
        json!([{"targets": ["127.0.0.1:19"], "labels": labels}])
    );
}
