//! What the dashboard is made of and asks for: its files, who asks, figures every second, previews, the queue as it is
//! expected to be worked off, the last hour.

use reqwest::Method;
use reqwest::header::{ACCEPT, ETAG, IF_NONE_MATCH, LOCATION};
use serde_json::{Value, json};
use sim::{Agent, AgentConfig, Comfy, ComfyConfig, Generation};

use super::access::Tokens;
use super::client::{Client, builder};
use super::events::Events;
use super::prompts::{MODEL, STEPS, picture, picture_of, plain};
use super::stage::{Stage, comfy, quick, takes_jobs};
use super::wait::until;

#[tokio::test]
async fn the_page_and_its_files_come_with_their_policy_and_once() {
    let stage = Stage::before(Vec::new(), |_| {}).await;
    let http = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let url = |path: &str| format!("{}{path}", stage.client.url);
    let bare = http.get(url("/orchestrator")).send().await.unwrap();
    assert_eq!(
        (bare.status().as_u16(), &bare.headers()[LOCATION]),
        (308, &"/orchestrator/".parse().unwrap())
    );
    for (path, kind) in [
        ("/orchestrator/", "text/html; charset=utf-8"),
        ("/orchestrator/assets/app/main.js", "text/javascript; charset=utf-8"),
        ("/orchestrator/assets/style/base.css", "text/css; charset=utf-8"),
        ("/orchestrator/assets/icon.svg", "image/svg+xml"),
    ] {
        let first = http.get(url(path)).send().await.unwrap();
        let headers = first.headers();
        assert_eq!(
            (first.status().as_u16(), &headers["content-type"]),
            (200, &kind.parse().unwrap()),
            "{path}"
        );
        let policy = headers["content-security-policy"].to_str().unwrap();
        assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        let again = http.get(url(path)).header(IF_NONE_MATCH, &headers[ETAG]).send().await.unwrap();
        assert_eq!((again.status().as_u16(), again.content_length().unwrap_or(0)), (304, 0), "{path}");
    }
    let missing = http.get(url("/orchestrator/assets/app/none.js")).send().await.unwrap();
    assert_eq!(missing.status().as_u16(), 404);
}

#[tokio::test]
async fn the_page_asks_for_a_login_and_knows_whose_it_is() {
    let tokens = Tokens::new();
    let file = Some(tokens.file());
    let stage = Stage::before(Vec::new(), |config| config.access.token_file = file).await;
    let http = builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
    let page = http.get(format!("{}/orchestrator/", stage.client.url)).header(ACCEPT, "text/html");
    let page = page.send().await.unwrap();
    assert_eq!(page.headers()[LOCATION], "/login?next=%2Forchestrator%2F");
    for (fresh, name, role) in [(&tokens.anna, "anna", "submit"), (&tokens.otto, "otto", "operate")] {
        let client = Client::showing(&stage.client.url, "me", &fresh.token);
        assert_eq!(client.get("/orchestrator/v1/whoami").await, json!({"name": name, "role": role}));
        assert_eq!(client.ask("/orchestrator/assets/app/main.js").await.0, 200);
    }
    let open = Stage::before(Vec::new(), |_| {}).await;
    assert_eq!(open.client.get("/orchestrator/v1/whoami").await, json!({"role": "admin"}));
}

/// A server with a GPU, and the agent beside it.
async fn with_an_agent() -> (Stage, Agent) {
    let server =
        Comfy::start(ComfyConfig { device_name: "Simulated GPU".into(), ..quick(Generation::V0_8) }).await;
    let server = server.unwrap();
    let config = AgentConfig { beside: Some(server.clone()), ..AgentConfig::default() };
    let agent = Agent::start(config).await.unwrap();
    let url = agent.url().parse().unwrap();
    let stage = Stage::before(vec![server], |config| config.backends[0].agent = url).await;
    stage.all_take_jobs().await;
    (stage, agent)
}

#[tokio::test]
async fn figures_and_the_running_jobs_progress_come_every_second() {
    let (stage, _agent) = with_an_agent().await;
    let server = &stage.comfys[0];
    let mut events = Events::open(&stage.client, "/orchestrator/v1/events?live=true", None).await;
    assert_eq!(events.next().await.unwrap().kind, "resync");
    let first = events.next().await.unwrap();
    assert_eq!((first.kind.as_str(), &first.data["backends"][0]["job"]), ("live", &Value::Null), "at once");

    server.hold();
    let id = stage.client.submit(&picture(1)).await;
    server.wait_for(|state| state.waits_at_gate).await.unwrap();
    // The loader, the sampler's beginning, and two of its steps.
    server.let_pass(4);
    let at = |data: &Value| data["backends"][0]["job"].clone();
    let heard = events.until(|event| event.kind == "live" && at(&event.data)["steps_done"] == 2.0).await;
    let backend = &heard.last().unwrap().data["backends"][0];
    let job = at(&heard.last().unwrap().data);
    assert_eq!((&job["id"], &job["phase"], &job["node"]), (&json!(id), &json!("running"), &json!("2")));
    assert_eq!((&job["steps"], job["left_seconds"].as_f64() > Some(0.0)), (&json!(STEPS as f64), true));
    assert_eq!((&backend["id"], &backend["models"]), (&json!("a"), &json!([MODEL])));
    let gpu = &backend["gpu"];
    assert_eq!(gpu["name"], "Simulated GPU");
    assert!(
        gpu["vram_used_bytes"].as_u64() < gpu["vram_total_bytes"].as_u64()
            && gpu["utilization_ratio"].is_f64()
    );

    let record = stage.client.job(&id).await;
    assert_eq!((&record["progress"]["steps_done"], &record["state"]), (&json!(2.0), &json!("dispatched")));
    server.release();
    stage.client.succeeded(&id).await;
    events.until(|event| event.kind == "live" && at(&event.data).is_null()).await;
}

#[tokio::test]
async fn whoever_does_not_ask_for_figures_gets_none() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let mut events = Events::open(&stage.client, "/orchestrator/v1/events", None).await;
    let id = stage.client.submit(&picture(1)).await;
    let heard = events.until(|event| event.kind == "job" && event.data["state"] == "succeeded").await;
    assert!(heard.iter().all(|event| event.kind != "live"));
    assert_eq!(heard.last().unwrap().data["id"], json!(id));
}

#[tokio::test]
async fn a_running_jobs_picture_can_be_looked_at_until_it_has_ended() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let server = &stage.comfys[0];
    server.hold();
    let id = stage.client.submit(&picture(1)).await;
    let route = format!("/orchestrator/v1/jobs/{id}/preview");
    server.wait_for(|state| state.waits_at_gate).await.unwrap();
    let status =
        async |route: &str| stage.client.request(Method::GET, route).send().await.unwrap().status().as_u16();
    assert_eq!(status(&route).await, 204);
    server.let_pass(4);
    let shown = until("a preview", async || {
        let answer = stage.client.request(Method::GET, &route).send().await.unwrap();
        (answer.status().as_u16() == 200).then_some(answer)
    });
    let shown = shown.await;
    assert_eq!(
        (&shown.headers()["content-type"], &shown.headers()["cache-control"]),
        (&"image/jpeg".parse().unwrap(), &"no-store".parse().unwrap())
    );
    assert!(image::load_from_memory(&shown.bytes().await.unwrap()).is_ok());
    server.release();
    stage.client.succeeded(&id).await;
    assert_eq!(status(&route).await, 204);
    assert_eq!(status("/orchestrator/v1/jobs/0a0a0a0a-1111-4222-8333-444444444444/preview").await, 404);
}

#[tokio::test]
async fn the_queue_is_told_in_the_order_expected_and_changes_when_a_job_is_moved() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let server = &stage.comfys[0];
    server.hold();
    let running = stage.client.submit(&picture(1)).await;
    server.wait_for(|state| state.waits_at_gate).await.unwrap();
    let mut waiting = Vec::new();
    for seed in 2..5 {
        waiting.push(stage.client.submit(&picture(seed)).await);
    }
    let you = stage.another("you").submit(&plain(9)).await;
    let queue = async |query: &str| stage.client.get(&format!("/orchestrator/v1/queue{query}")).await;
    let ids = |queue: &Value| -> Vec<String> {
        queue["waiting"]
            .as_array()
            .unwrap()
            .iter()
            .map(|job| job["id"].as_str().unwrap().to_owned())
            .collect()
    };
    let told = queue("").await;
    assert_eq!(ids(&told), [&waiting[..], std::slice::from_ref(&you)].concat());
    assert_eq!((&told["waiting_count"], &told["foreseen_count"]), (&json!(4), &json!(4)));
    let first = &told["waiting"][0];
    assert_eq!(
        (&first["backend"], &first["why"]),
        (&json!("a"), &json!("waits for a, which will have its models"))
    );
    assert!(first["starts_in_seconds"].as_f64() < told["waiting"][1]["starts_in_seconds"].as_f64());
    assert_eq!((&told["running"][0]["id"], &told["running"][0]["backend"]), (&json!(running), &json!("a")));
    assert_eq!(told["running"][0]["progress"]["phase"], "loading");

    assert_eq!(ids(&queue("?client=you").await), std::slice::from_ref(&you));
    assert_eq!(ids(&queue(&format!("?model={MODEL}&limit=1")).await), waiting[..1]);
    for query in ["?limit=0", "?limit=1001", "?sort=x"] {
        assert_eq!(stage.client.ask(&format!("/orchestrator/v1/queue{query}")).await.0, 400, "{query}");
    }

    let moving = async |id: &str, body: Value| {
        stage.client.post(&format!("/orchestrator/v1/jobs/{id}/move"), &body).await
    };
    assert_eq!(moving(&waiting[2], json!({"to": "front"})).await.0, 200);
    assert_eq!(moving(&waiting[0], json!({"to": "back"})).await.0, 200);
    // The place at the back is one among jobs that are alike: those whose model is loaded go first.
    assert_eq!(ids(&queue("").await), [&waiting[2], &waiting[1], &waiting[0], &you].map(Clone::clone));
    assert_eq!(moving(&running, json!({"to": "front"})).await.1["error"]["type"], "conflict");
    let preferring = async |id: &str, body: Value| {
        stage.client.post(&format!("/orchestrator/v1/jobs/{id}/priority"), &body).await
    };
    assert_eq!(preferring(&waiting[1], json!({"priority": 4})).await, (200, json!({"priority": 4.0})));
    assert_eq!(stage.client.job(&waiting[1]).await["wishes"], json!({"priority": 4.0}));
    assert_eq!(queue("").await["waiting"][1]["wishes"]["priority"], 4.0);
    assert_eq!(preferring(&waiting[1], json!({"priority": 0})).await.0, 400);
    assert_eq!(preferring(&running, json!({"priority": 2})).await.1["error"]["type"], "conflict");
    assert_eq!(moving(&waiting[1], json!({"to": "left"})).await.0, 400);
    server.release();
    stage.client.succeeded(&waiting[0]).await;
    assert_eq!(moving(&running, json!({"to": "front"})).await.1["error"]["type"], "not_waiting");
    assert_eq!(moving("0a0a0a0a-1111-4222-8333-444444444444", json!({"to": "front"})).await.0, 404);
    let finished = server
        .state()
        .runs
        .iter()
        .map(|run| run.extra_data["orchestrator"]["job"].clone())
        .collect::<Vec<_>>();
    assert_eq!(finished[1], json!(waiting[2]), "it ran in the order that was told");
}

#[tokio::test]
async fn only_ones_own_jobs_are_moved_by_a_token_that_submits() {
    let tokens = Tokens::new();
    let file = Some(tokens.file());
    let stage =
        Stage::before(vec![comfy(Generation::V0_8).await], |config| config.access.token_file = file).await;
    let client = |fresh: &collector::access::Fresh| Client::showing(&stage.client.url, "me", &fresh.token);
    let (anna, otto) = (client(&tokens.anna), client(&tokens.otto));
    takes_jobs(&otto, "a", true).await;
    stage.comfys[0].hold();
    let running = otto.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let (annas, ottos) = (anna.submit(&picture(2)).await, otto.submit(&picture(3)).await);
    let front = json!({"to": "front"});
    for (client, job, status) in [(&anna, &ottos, 403), (&anna, &annas, 200), (&otto, &annas, 200)] {
        assert_eq!(client.post(&format!("/orchestrator/v1/jobs/{job}/move"), &front).await.0, status);
    }
    let queue = anna.get("/orchestrator/v1/queue").await;
    assert_eq!(queue["waiting"][0]["owner"], "anna");
    assert_eq!(otto.job(&running).await["owner"], "otto");
    stage.comfys[0].release();
}

#[tokio::test]
async fn the_last_hour_tells_what_each_backend_did_and_which_loads_were_avoided() {
    let (stage, _agent) = with_an_agent().await;
    let server = &stage.comfys[0];
    for model in [MODEL, MODEL, "sdxl.safetensors"] {
        let id = stage.client.submit(&picture_of(model, 1)).await;
        stage.client.succeeded(&id).await;
    }
    server.hold();
    let id = stage.client.submit(&picture_of("sdxl.safetensors", 2)).await;
    let known = |timeline: &Value, name: &str| -> Vec<u64> {
        let slots = timeline["backends"]["a"][name].as_array().unwrap();
        slots.iter().filter_map(Value::as_u64).collect()
    };
    let sum = |timeline: &Value, name: &str| -> u64 { known(timeline, name).iter().sum() };
    let timeline = until("time of work", async || {
        let timeline = stage.client.get("/orchestrator/v1/timeline").await;
        let is_measured = !known(&timeline, "utilization").is_empty();
        (is_measured && sum(&timeline, "run") > 0 && sum(&timeline, "loads_avoided") == 2).then_some(timeline)
    });
    let timeline = timeline.await;
    assert_eq!((sum(&timeline, "loads_caused"), sum(&timeline, "loads_avoided")), (2, 2));
    let course = timeline["backends"]["a"].as_object().unwrap();
    let lengths: Vec<usize> = course.values().filter_map(Value::as_array).map(Vec::len).collect();
    assert!(lengths.iter().all(|length| *length == lengths[0]));
    server.release();
    stage.client.succeeded(&id).await;
    server.kill().await;
    until("time of being down", async || {
        let timeline = stage.client.get("/orchestrator/v1/timeline").await;
        (sum(&timeline, "down") > 0).then_some(())
    })
    .await;
    let later = timeline["at"].as_u64().unwrap() + 3_600_000;
    let none = stage.client.get(&format!("/orchestrator/v1/timeline?since={later}")).await;
    assert_eq!(none["backends"]["a"]["run"], json!([]));
}
