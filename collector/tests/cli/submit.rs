//! `submit` without following: what becomes a job, and what the program prints.

use serde_json::{Value, json};
use sim::Generation;

use super::prompts::{expected, picture, plain};
use super::shell::{file, run, run_with};
use super::stage::Stage;

#[tokio::test]
async fn each_file_becomes_a_job_and_their_ids_are_printed() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let files = [
        file(folder.path(), "a.json", &picture(1)),
        file(folder.path(), "b.json", &json!({"prompt": picture(2)})),
    ];
    let ended =
        run_with(&stage.client.url, &["submit", &files[0], &files[1], "-"], &picture(3).to_string()).await;
    let ended = ended.succeeds();
    let ids: Vec<&str> = ended.out.lines().collect();
    assert_eq!((ids.len(), ended.said.as_str()), (3, ""));
    for (seed, id) in (1..).zip(ids) {
        let history = stage.client.succeeded(id).await;
        assert_eq!(stage.client.picture_in(&history).await, expected(seed));
    }
}

#[tokio::test]
async fn flags_say_who_hears_of_a_job_and_where_it_stands() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    stage.comfys[0].hold();
    let first = stage.client.submit(&picture(0)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let body =
        json!({"prompt": picture(1), "client_id": "theirs", "extra_data": {"tags": ["x"]}}).to_string();
    let mut ids = Vec::new();
    for flags in [&["--number", "-7.5"][..], &["--front", "--client-id", "mine"], &[]] {
        let ended = run_with(&stage.client.url, &[&["submit", "--json", "-"], flags].concat(), &body).await;
        let document = ended.succeeds().document();
        assert_eq!(document["jobs"][0]["file"], "standard input");
        ids.push(document["jobs"][0]["id"].as_str().unwrap().to_owned());
    }
    let (running, mut waiting) = stage.client.queue().await;
    waiting.retain(|id| *id != first);
    assert_eq!((running, waiting.len()), (vec![first], 3));
    assert_eq!(waiting[2], ids[2]);
    let queue = stage.client.get("/queue").await;
    let item = |id: &str| {
        let items = queue["queue_pending"].as_array().unwrap();
        items.iter().find(|item| item[1] == id).unwrap().clone()
    };
    assert_eq!(item(&ids[0])[0], json!(-7.5));
    assert_eq!(item(&ids[1])[3]["client_id"], "mine");
    assert_eq!(
        (&item(&ids[2])[3]["client_id"], &item(&ids[2])[3]["tags"]),
        (&json!("theirs"), &json!(["x"]))
    );
    stage.comfys[0].release();
}

/// As the web interface saves it: an empty picture of a colour, saved.
fn workflow() -> Value {
    json!({
        "nodes": [
            {"id": 1, "type": "EmptyImage", "widgets_values": [4, 4, 1, 255],
             "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [1]}]},
            {"id": 9, "type": "SaveImage", "widgets_values": ["w"],
             "inputs": [{"name": "images", "type": "IMAGE", "link": 1}]},
        ],
        "links": [[1, 1, 0, 9, 0, "IMAGE"]],
    })
}

#[tokio::test]
async fn a_workflow_is_converted_with_what_the_fleet_offers_and_goes_along() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "w.json", &workflow());
    let id = run(&stage.client.url, &["submit", &path]).await.succeeds().out.trim().to_owned();
    let history = stage.client.succeeded(&id).await;
    assert_eq!(history["prompt"][2]["1"]["inputs"]["color"], 255);
    assert_eq!(history["prompt"][3]["extra_pnginfo"]["workflow"], workflow());
    let changed = run(&stage.client.url, &["submit", "--set", "1.color=7", &path]).await.succeeds();
    let history = stage.client.succeeded(changed.out.trim()).await;
    assert_eq!(history["prompt"][2]["1"]["inputs"]["color"], 7);
    assert_eq!(history["prompt"][3]["extra_pnginfo"].get("workflow"), None, "it is no longer so");
}

#[tokio::test]
async fn a_saved_picture_is_made_again() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let id = stage.client.submit(&plain(0x00_12_34)).await;
    let history = stage.client.succeeded(&id).await;
    let image = &history["outputs"]["9"]["images"][0];
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("p.png");
    std::fs::write(&path, stage.client.bytes(&super::client::view_of(image)).await).unwrap();
    let again = run(&stage.client.url, &["submit", path.to_str().unwrap()]).await.succeeds();
    let history = stage.client.succeeded(again.out.trim()).await;
    assert_eq!(history["prompt"][2], plain(0x00_12_34));
}
