//! What is wrong is refused at once, in ComfyUI's shape, and nothing comes of it.

use reqwest::Method;
use serde_json::{Value, json};
use sim::Generation;

use super::client::png;
use super::prompts::{picture, picture_of, plain, through};
use super::stage::{BOTH, Stage, comfy, takes_jobs};

/// The shape in which ComfyUI refuses a prompt.
fn is_comfyuis(refusal: &Value) {
    let error = &refusal["error"];
    assert!(
        error["type"].is_string() && error["message"].is_string() && error["details"].is_string(),
        "{refusal}"
    );
    assert!(error["extra_info"].is_object() && refusal["node_errors"].is_object(), "{refusal}");
}

async fn nothing_came_of_it(stage: &Stage) {
    assert_eq!(stage.client.get("/prompt").await, json!({"exec_info": {"queue_remaining": 0}}));
    assert_eq!(stage.client.get("/history").await, json!({}));
    assert!(stage.comfys.iter().all(|comfy| comfy.counters().accepted + comfy.counters().refused == 0));
}

#[tokio::test]
async fn a_prompt_that_no_server_could_read_is_refused_in_comfyuis_shape() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        for body in [
            "",
            "{",
            "no json",
            "[]",
            "7",
            "null",
            "\"text\"",
            "{}",
            "{\"prompt\": 7}",
            "{\"prompt\": {}}",
            "{\"prompt\": {\"1\": 7}}",
            "{\"prompt\": {\"1\": {}}}",
            "{\"prompt\": {\"1\": {\"class_type\": 7}}}",
            "{\"prompt\": {\"1\": {\"class_type\": \"SaveImage\", \"inputs\": 7}}}",
        ] {
            let (status, refusal) = stage.client.post_text("/prompt", body).await;
            assert_eq!(status, 400, "{body}: {refusal}");
            is_comfyuis(&refusal);
        }
        nothing_came_of_it(&stage).await;
    }
}

#[tokio::test]
async fn a_body_that_is_no_utf_8_is_refused_where_one_is_needed() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    // To ComfyUI a body of an interrupt that is no JSON is none.
    for (route, status) in
        [("/prompt", 400), ("/queue", 400), ("/history", 400), ("/free", 400), ("/interrupt", 200)]
    {
        let request = stage.client.request(Method::POST, route).body(vec![b'{', 0xff, 0xfe]);
        assert_eq!(request.send().await.unwrap().status(), status, "{route}");
    }
    nothing_came_of_it(&stage).await;
}

#[tokio::test]
async fn a_node_class_that_no_backend_has_is_named() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let (status, refusal) =
        stage.client.post("/prompt", &stage.client.body(&through("Nowhere"), json!({}))).await;
    assert_eq!(status, 400);
    is_comfyuis(&refusal);
    let error = &refusal["error"];
    assert_eq!(error["message"], "Cannot execute because node Nowhere does not exist.");
    assert_eq!(error["details"], "Node ID '#2'");
    nothing_came_of_it(&stage).await;
}

#[tokio::test]
async fn a_model_that_no_backend_has_is_named_with_its_node_and_the_backends() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let body = stage.client.body(&picture_of("lost.safetensors", 1), json!({}));
    let (status, refusal) = stage.client.post("/prompt", &body).await;
    assert_eq!(status, 400);
    is_comfyuis(&refusal);
    let node = &refusal["node_errors"]["1"];
    assert_eq!(
        (&node["class_type"], &node["errors"][0]["type"]),
        (&json!("SimLoader"), &json!("value_not_in_list"))
    );
    assert!(node["errors"][0]["details"].as_str().unwrap().contains("lost.safetensors"));
    assert_eq!(refusal["error"]["message"], "Prompt outputs failed validation");
    let lacking = refusal["error"]["extra_info"]["orchestrator"]["lacking"].to_string();
    assert!(lacking.contains("a lacks") && lacking.contains("b lacks"), "{lacking}");
    nothing_came_of_it(&stage).await;
}

/// A prompt of two pictures, the second of which has something wrong with it.
fn half_wrong(wrong: &Value) -> Value {
    let mut prompt = plain(7);
    prompt["1"]["inputs"]
        .as_object_mut()
        .unwrap()
        .append(&mut json!({"batch_size": 1}).as_object().unwrap().clone());
    prompt["11"] = json!({"class_type": "EmptyImage", "inputs": wrong});
    prompt["19"] =
        json!({"class_type": "SaveImage", "inputs": {"images": ["11", 0], "filename_prefix": "t"}});
    prompt
}

#[tokio::test]
async fn what_comfyui_refuses_is_refused_in_its_own_words() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let alone = |wrong: Value| {
        let mut prompt = half_wrong(&wrong);
        prompt.as_object_mut().unwrap().retain(|id, _| id.len() == 2);
        prompt
    };
    let wrongs = [
        json!({"width": 0, "height": 4, "batch_size": 1, "color": 0}),
        json!({"width": 4, "height": 4, "batch_size": 1, "color": 1 << 30}),
        json!({"width": "wide", "height": 4, "batch_size": 1, "color": 0}),
        json!({"height": 4, "batch_size": 1, "color": 0}),
    ];
    for wrong in wrongs {
        let body = stage.client.body(&alone(wrong.clone()), json!({}));
        let (status, ours) = stage.client.post("/prompt", &body).await;
        let theirs = reqwest::Client::new().post(format!("{}/prompt", stage.comfys[0].url())).json(&body);
        let theirs = theirs.send().await.unwrap();
        assert_eq!(status, theirs.status().as_u16(), "{wrong}: {ours}");
        assert_eq!(ours, theirs.json::<Value>().await.unwrap(), "{wrong}");
        assert_eq!(status, 400);
    }
    assert_eq!(stage.client.get("/history").await, json!({}));
}

#[tokio::test]
async fn of_a_prompt_that_is_wrong_in_part_the_rest_runs() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let wrong = json!({"width": 0, "height": 4, "batch_size": 1, "color": 0});
    let body = stage.client.body(&half_wrong(&wrong), json!({}));
    let (status, accepted) = stage.client.post("/prompt", &body).await;
    assert_eq!(status, 200, "{accepted}");
    let node = &accepted["node_errors"]["11"];
    assert_eq!((&node["class_type"], &node["dependent_outputs"]), (&json!("EmptyImage"), &json!(["19"])));
    let ended = stage.client.succeeded(accepted["prompt_id"].as_str().unwrap()).await;
    let outputs = ended["outputs"].as_object().unwrap();
    assert_eq!(outputs.keys().collect::<Vec<_>>(), ["9"], "{ended}");
}

#[tokio::test]
async fn a_prompt_without_outputs_is_refused() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut prompt = picture(1);
    prompt.as_object_mut().unwrap().shift_remove("9");
    let (status, refusal) = stage.client.post("/prompt", &stage.client.body(&prompt, json!({}))).await;
    assert_eq!((status, &refusal["error"]["type"]), (400, &json!("prompt_no_outputs")));
    is_comfyuis(&refusal);
    nothing_came_of_it(&stage).await;
}

#[tokio::test]
async fn a_prompt_for_a_fleet_that_has_not_answered_yet_is_accepted_and_waits() {
    let comfy = comfy(Generation::V0_8).await;
    comfy.kill().await;
    let stage = Stage::before(vec![comfy], |_| {}).await;
    let id = stage.client.submit(&picture_of("sd15.safetensors", 1)).await;
    let why = stage.client.job(&id).await;
    assert_eq!((&why["state"], why["why_waiting"]["a"].is_string()), (&json!("waiting"), true), "{why}");
    stage.comfys[0].restart().await.unwrap();
    takes_jobs(&stage.client, "a", true).await;
    stage.client.succeeded(&id).await;
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_one_below_it_is_not() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let padded = |bytes: usize| json!({"extra_data": {"padding": "x".repeat(bytes)}});
    let body = stage.client.body(&picture(1), padded(1 << 20));
    let (status, refusal) = stage.client.post("/prompt", &body).await;
    assert_eq!(status, 413);
    is_comfyuis(&refusal);
    let (status, _) = stage.client.upload("in.png", vec![0; 1 << 20], &[]).await;
    assert_eq!(status, 413);
    nothing_came_of_it(&stage).await;
    let id = stage.client.submit_with(&picture(1), padded(1 << 19)).await;
    stage.client.succeeded(&id).await;
}

#[tokio::test]
async fn a_page_of_another_site_may_not_act() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let own = stage.client.url.clone();
    for (origin, allowed) in [("http://evil.example", false), ("null", false), (own.as_str(), true)] {
        let body = stage.client.body(&picture(1), json!({}));
        let request = stage.client.request(Method::POST, "/prompt").header("origin", origin).json(&body);
        assert_eq!(request.send().await.unwrap().status(), if allowed { 200 } else { 403 }, "{origin}");
        let socket = stage.client.request(Method::GET, "/ws").header("origin", origin);
        let socket = socket.header("connection", "upgrade").header("upgrade", "websocket");
        let socket = socket
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
        assert_eq!(socket.send().await.unwrap().status(), if allowed { 101 } else { 403 }, "{origin}");
    }
    assert_eq!(
        stage.comfys[0].wait_for(|state| state.counters.executed == 1).await.unwrap().counters.accepted,
        1
    );
}

#[tokio::test]
async fn an_unknown_path_is_404_and_a_wrong_method_405() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for route in ["/nowhere", "/api/nowhere", "/api", "/manager/reboot", "/history/a/b"] {
        let (status, refusal) = stage.client.ask(route).await;
        assert_eq!(status, 404, "{route}");
        is_comfyuis(&refusal);
    }
    for (method, route) in [
        (Method::DELETE, "/prompt"),
        (Method::PUT, "/api/queue"),
        (Method::GET, "/interrupt"),
        (Method::POST, "/view"),
        (Method::GET, "/upload/image"),
        (Method::POST, "/metrics"),
    ] {
        let answer = stage.client.request(method.clone(), route).send().await.unwrap();
        assert_eq!(answer.status(), 405, "{method} {route}");
        is_comfyuis(&answer.json().await.unwrap());
    }
    assert_eq!(stage.client.ask("/object_info/Nowhere").await, (200, json!({})), "as ComfyUI answers");
}

#[tokio::test]
async fn a_client_name_that_is_too_long_is_refused() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let body = stage.another(&"x".repeat(257)).body(&picture(1), json!({}));
    assert_eq!(stage.client.post("/prompt", &body).await.0, 400);
    nothing_came_of_it(&stage).await;
    assert_eq!(stage.client.upload(&"x".repeat(600), png(1), &[]).await.0, 400);
}

#[tokio::test]
async fn an_array_is_not_taken_for_an_object_and_clears_nothing() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&id).await;
    for route in ["/history", "/queue", "/interrupt", "/free", "/prompt"] {
        let (status, refusal) = stage.client.post_text(route, "[true]").await;
        assert_eq!(status, 400, "{route}: {refusal}");
    }
    assert!(stage.client.history_of(&id).await.is_some());
}

#[tokio::test]
async fn a_job_whose_files_a_backend_never_takes_fails_and_lets_the_others_pass() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].fail(sim::Fault::always("/upload/image", sim::FaultKind::Status(500)));
    stage.client.upload("in.png", png(3), &[]).await;
    let poisoned = stage.client.submit(&super::prompts::copy_of("in.png")).await;
    let good = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&good).await;
    let status = stage.client.ended(&poisoned).await["status"].clone();
    assert_eq!(status["status_str"], "error", "{status}");
    assert!(status["messages"].to_string().contains("500"), "{status}");
}
