//! Submitting jobs, and `/queue` and `/history` as they show them.

use serde_json::{Value, json};
use sim::{Comfy, ComfyConfig, Generation};

use super::prompts::{expected, failing, picture, picture_of, through};
use super::stage::{BOTH, Stage, outcomes_of, quick};
use super::wait::until;

const ID: &str = "0a0a0a0a-1111-4222-8333-444444444444";

fn keys(document: &Value) -> Vec<&str> {
    document.as_object().unwrap().keys().map(String::as_str).collect()
}

/// Ends so many jobs, one after the other.
async fn ended(stage: &Stage, jobs: u64) -> Vec<String> {
    let mut ids = Vec::new();
    for seed in 0..jobs {
        let id = stage.client.submit(&picture(seed)).await;
        stage.client.succeeded(&id).await;
        ids.push(id);
    }
    ids
}

#[tokio::test]
async fn a_job_goes_through_and_its_picture_comes_back_with_the_right_pixels() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let mut ids = Vec::new();
        for seed in 0..8 {
            ids.push(stage.client.submit(&picture(seed)).await);
        }
        for (seed, id) in (0..).zip(&ids) {
            let history = stage.client.succeeded(id).await;
            assert_eq!(stage.client.picture_in(&history).await, expected(seed));
            assert_eq!(stage.runs_of(id), 1);
            assert_eq!(stage.client.job(id).await["state"], "succeeded");
        }
        let ended = "orchestrator_collector_jobs_ended_total{outcome=\"succeeded\"}";
        until("all are counted", async || stage.client.metric(ended).await.filter(|n| *n == 8.0)).await;
    }
}

#[tokio::test]
async fn every_route_answers_under_api_too() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let body = stage.client.body(&picture(7), json!({}));
    let (status, answer) = stage.client.post("/api/prompt", &body).await;
    assert_eq!(status, 200);
    let id = answer["prompt_id"].as_str().unwrap();
    stage.client.succeeded(id).await;
    for route in ["/prompt", "/queue", "/history", "/object_info", "/system_stats"] {
        // What a backend has free is read anew meanwhile.
        let (one, other) = (format!("/api{route}"), route);
        let same = async || (stage.client.get(&one).await == stage.client.get(other).await).then_some(());
        until(&format!("{one} answers as {other}"), same).await;
    }
    let history = stage.client.get(&format!("/api/history/{id}")).await;
    let file = super::client::view_of(&history[id]["outputs"]["9"]["images"][0]);
    assert_eq!(stage.client.bytes(&format!("/api{file}")).await, stage.client.bytes(&file).await);
}

#[tokio::test]
async fn jobs_run_by_number_and_a_later_front_before_an_earlier_one() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let first = stage.client.submit(&picture(0)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let plain = stage.client.submit(&picture(1)).await;
    let front = stage.client.submit_with(&picture(2), json!({"front": true})).await;
    let later_front = stage.client.submit_with(&picture(3), json!({"front": true})).await;
    let lowest = stage.client.submit_with(&picture(4), json!({"number": -100})).await;
    let last = stage.client.submit_with(&picture(5), json!({"number": 100.5})).await;
    let order = [lowest, later_front, front, plain, last];
    assert_eq!(stage.client.queue().await, (vec![first.clone()], order.to_vec()));
    stage.comfys[0].release();
    for id in &order {
        stage.client.succeeded(id).await;
    }
    let ran = stage.comfys[0].state().runs.into_iter().map(|run| run.prompt_id).collect::<Vec<_>>();
    assert_eq!(ran, [&[first], order.as_slice()].concat());
}

#[tokio::test]
async fn the_same_body_under_the_same_id_is_one_job_and_another_body_a_conflict() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        let given = json!({"prompt_id": ID});
        let body = stage.client.body(&picture(7), given.clone());
        let first = stage.client.post("/prompt", &body).await;
        assert_eq!((first.0, &first.1["prompt_id"]), (200, &json!(ID)));
        assert_eq!(stage.client.post("/prompt", &body).await, first);
        let (status, refusal) = stage.client.post("/prompt", &stage.client.body(&picture(8), given)).await;
        assert_eq!((status, &refusal["error"]["type"]), (409, &json!("prompt_id_taken")));
        stage.client.succeeded(ID).await;
        assert_eq!(stage.client.post("/prompt", &body).await, first, "also once it has ended");
        assert_eq!((stage.runs_of(ID), stage.comfys[0].counters().accepted), (1, 1));
    }
}

#[tokio::test]
async fn an_id_that_is_no_uuid_is_replaced() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit_with(&picture(7), json!({"prompt_id": "mine"})).await;
    assert_eq!(id.len(), 36);
    stage.client.succeeded(&id).await;
}

#[tokio::test]
async fn the_queue_and_the_history_show_a_job_as_comfyui_does() {
    for generation in BOTH {
        let stage = Stage::of(generation, 1).await;
        stage.comfys[0].hold();
        let more = json!({"extra_data": {"extra_pnginfo": {"workflow": {"id": "w"}}, "api_key_comfy_org": "secret"}});
        let id = stage.client.submit_with(&picture(7), more).await;
        let waiting = stage.client.submit(&picture(8)).await;
        stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
        let queue = stage.client.get("/queue").await;
        assert_eq!(keys(&queue), ["queue_running", "queue_pending"]);
        let item = queue["queue_running"][0].clone();
        assert_eq!((&item[1], &item[2], &item[4]), (&json!(id), &picture(7), &json!(["9"])));
        assert_eq!(keys(&item[3]), ["extra_pnginfo", "client_id", "create_time"]);
        assert_eq!((&item[3]["client_id"], &queue["queue_pending"][0][1]), (&json!("me"), &json!(waiting)));
        assert_eq!(stage.client.get("/prompt").await, json!({"exec_info": {"queue_remaining": 2}}));
        assert_eq!(stage.client.get(&format!("/history/{id}")).await, json!({}), "it has not ended");
        stage.comfys[0].release();
        let history = stage.client.succeeded(&id).await;
        assert_eq!(keys(&history), ["prompt", "outputs", "status", "meta"]);
        assert_eq!(history["prompt"], item);
        assert_eq!(history["outputs"]["9"]["images"][0]["type"], "output");
        assert_eq!(keys(&history["status"]), ["status_str", "completed", "messages"]);
        let messages = history["status"]["messages"].as_array().unwrap();
        assert_eq!(messages[0][0], "execution_start");
        assert!(messages.iter().all(|message| message[1]["prompt_id"] == json!(id)), "{messages:?}");
    }
}

#[tokio::test]
async fn the_history_gives_the_newest_or_from_an_offset_and_forgets_what_it_is_told_to() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let ids = ended(&stage, 5).await;
    let shown = async |route: &str| {
        let history = stage.client.get(route).await;
        keys(&history).into_iter().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(shown("/history").await, ids);
    assert_eq!(shown("/history?max_items=2").await, ids[3..]);
    assert_eq!(shown("/history?max_items=2&offset=1").await, ids[1..3]);
    assert_eq!(shown("/history?offset=4").await, ids[4..]);
    assert_eq!(shown("/history?max_items=2&offset=-1").await, ids[3..]);
    assert_eq!(shown("/history?max_items=9&offset=-1").await, ids);
    assert_eq!(shown("/history?offset=-1").await, ids);
    // Odd, and so in ComfyUI.
    for most in [0, -1] {
        assert_eq!(shown(&format!("/history?max_items={most}")).await, Vec::<String>::new());
        assert_eq!(shown(&format!("/history?max_items={most}&offset=1")).await, ids[1..2]);
    }
    assert_eq!(stage.client.get("/history/nonsense").await, json!({}));
    let delete = json!({"delete": [ids[1], "nonsense"]});
    assert_eq!(stage.client.post("/history", &delete).await.0, 200);
    assert_eq!(shown("/history").await, [&ids[..1], &ids[2..]].concat());
    assert_eq!(stage.client.post("/history", &json!({"clear": true})).await.0, 200);
    assert_eq!(stage.client.get("/history").await, json!({}));
}

#[tokio::test]
async fn forgetting_the_history_leaves_jobs_that_have_not_ended() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let ids = [stage.client.submit(&picture(1)).await, stage.client.submit(&picture(2)).await];
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.client.post("/history", &json!({"clear": true, "delete": ids})).await;
    stage.comfys[0].release();
    for id in &ids {
        stage.client.succeeded(id).await;
    }
}

async fn fleet_of(models: &[&[&str]], extra: &[&[&str]]) -> Stage {
    let mut comfys = Vec::new();
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    for (models, extra_nodes) in models.iter().zip(extra) {
        let (models, extra_nodes) = (owned(models), owned(extra_nodes));
        let config = ComfyConfig { models, extra_nodes, ..quick(Generation::V0_8) };
        comfys.push(Comfy::start(config).await.unwrap());
    }
    let stage = Stage::before(comfys, |_| {}).await;
    stage.all_take_jobs().await;
    stage
}

#[tokio::test]
async fn what_only_one_backend_has_can_be_chosen_and_the_job_goes_there() {
    let stage = fleet_of(&[&["x.safetensors"], &["y.safetensors"]], &[&["OnlyA"], &["OnlyB"]]).await;
    let info = stage.client.get("/object_info").await;
    assert_eq!(
        info["SimLoader"]["input"]["required"]["ckpt_name"][0],
        json!(["x.safetensors", "y.safetensors"]),
    );
    assert!(info.get("OnlyA").is_some() && info.get("OnlyB").is_some());
    assert_eq!(stage.client.get("/object_info/OnlyB").await, json!({"OnlyB": info["OnlyB"]}));
    for (prompt, at) in [
        (picture_of("y.safetensors", 1), 1),
        (picture_of("x.safetensors", 2), 0),
        (through("OnlyB"), 1),
        (through("OnlyA"), 0),
    ] {
        let id = stage.client.submit(&prompt).await;
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&stage.comfys[at], &id).len(), 1, "{prompt}");
    }
}

#[tokio::test]
async fn a_model_that_is_loaded_already_draws_the_next_job_to_its_backend() {
    let stage = Stage::of(Generation::V0_8, 3).await;
    let models = ["sd15.safetensors", "sdxl.safetensors", "flux.safetensors"];
    stage.comfys.iter().for_each(Comfy::hold);
    let mut homes = Vec::new();
    for (seed, model) in (0..).zip(models) {
        homes.push(stage.client.submit(&picture_of(model, seed)).await);
    }
    for comfy in &stage.comfys {
        comfy.wait_for(|state| state.waits_at_gate).await.unwrap();
        comfy.release();
    }
    let mut where_to = Vec::new();
    for id in &homes {
        stage.client.succeeded(id).await;
        where_to.push(stage.comfys.iter().position(|comfy| !outcomes_of(comfy, id).is_empty()).unwrap());
    }
    // In the other order, so that the first in the configuration is not always the right one.
    for (at, model) in where_to.iter().zip(models).rev() {
        let id = stage.client.submit(&picture_of(model, 9)).await;
        stage.client.succeeded(&id).await;
        assert_eq!(outcomes_of(&stage.comfys[*at], &id).len(), 1, "{model}");
    }
    let loads: u64 = stage.comfys.iter().map(|comfy| comfy.counters().all_loads()).sum();
    assert_eq!(loads, 3, "each model was loaded once");
}

#[tokio::test]
async fn a_failed_job_stands_in_the_history_with_the_others() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let bad = stage.client.submit(&failing("value")).await;
    assert_eq!(stage.client.ended(&bad).await["status"]["completed"], false);
    let good = ended(&stage, 1).await.remove(0);
    assert_eq!(keys(&stage.client.get("/history").await), [bad.as_str(), good.as_str()]);
    assert_eq!(stage.client.job(&bad).await["state"], "failed");
}

#[tokio::test]
async fn the_systems_devices_are_those_of_all_backends() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let stats = until("both have told", async || {
        let stats = stage.client.get("/system_stats").await;
        (stats["devices"].as_array().unwrap().len() == 2).then_some(stats)
    });
    let stats = stats.await;
    assert_eq!(
        (&stats["devices"][0]["name"], &stats["devices"][1]["name"]),
        (&json!("a: cpu"), &json!("b: cpu"))
    );
    assert!(stats["system"]["comfyui_version"].is_string(), "{stats}");
}
