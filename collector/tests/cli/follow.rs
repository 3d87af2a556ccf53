//! `submit --follow`: what is shown, what is saved, and what is borne.

use std::path::Path;

use serde_json::json;
use sim::{Fault, FaultKind, Generation};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::prompts::{expected, failing, picture, plain};
use super::shell::{command, file, files_in, finish, run};
use super::stage::{BOTH, Stage};
use super::wait::until;
use super::wire::Wire;

fn pixels(path: &Path) -> image::RgbImage {
    image::open(path).unwrap().to_rgb8()
}

#[tokio::test]
async fn followed_jobs_are_shown_and_their_pictures_saved_as_they_are() {
    for generation in BOTH {
        let stage = Stage::of(generation, 2).await;
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let path = file(folder.path(), "p.json", &picture(7));
        let arguments = ["submit", "--follow", "--out", out.to_str().unwrap(), &path];
        let ended = run(&stage.client.url, &arguments).await.succeeds();
        let saved = files_in(&out);
        assert_eq!((saved.len(), ended.out.trim()), (1, out.join(&saved[0]).to_str().unwrap()));
        assert_eq!(pixels(&out.join(&saved[0])), expected(7));
        ended.says(&[
            "accepted as ",
            "p.json: begins on ",
            "p.json: node 2: SimSampler",
            "p.json: succeeded",
        ]);
        let id = ended.said.split("accepted as ").nth(1).unwrap().split_whitespace().next().unwrap();
        let history = stage.client.history_of(id).await.unwrap();
        let bytes = stage.client.bytes(&super::client::view_of(&history["outputs"]["9"]["images"][0])).await;
        assert_eq!(std::fs::read(out.join(&saved[0])).unwrap(), bytes, "byte for byte");
    }
}

#[tokio::test]
async fn subfolders_are_kept_and_nothing_is_overwritten() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let mut document = plain(0x00_00_FF);
    document["9"]["inputs"]["filename_prefix"] = json!("cats/grey");
    let path = file(folder.path(), "p.json", &document);
    std::fs::create_dir_all(out.join("cats")).unwrap();
    std::fs::write(out.join("cats/grey_00001_.png"), "mine").unwrap();
    let arguments = ["submit", "--follow", "--out", out.to_str().unwrap(), &path];
    run(&stage.client.url, &arguments).await.succeeds();
    assert_eq!(files_in(&out), ["cats/grey_00001_ (1).png", "cats/grey_00001_.png"]);
    assert_eq!(std::fs::read_to_string(out.join("cats/grey_00001_.png")).unwrap(), "mine");
}

#[tokio::test]
async fn for_machines_every_event_is_a_line_of_json() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "p.json", &picture(3));
    let ended = run(&stage.client.url, &["submit", "--follow", "--json", &path]).await.succeeds();
    assert_eq!(ended.said, "");
    let documents = ended.documents();
    let events: Vec<&str> = documents.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!((events[0], events[events.len() - 1]), ("accepted", "ended"), "{events:?}");
    assert!(events.contains(&"begun") && events.contains(&"steps"), "{events:?}");
    let last = documents.last().unwrap();
    assert_eq!((&last["state"], &last["file"]), (&json!("succeeded"), &json!(path)));
    assert!(documents.iter().all(|event| event["job"] == last["job"]));
}

#[tokio::test]
async fn a_job_that_fails_ends_with_1_and_the_exception_and_does_not_keep_others_from_being_saved() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let bad = file(folder.path(), "bad.json", &failing("value"));
    let good = file(folder.path(), "good.json", &picture(4));
    let ended =
        run(&stage.client.url, &["submit", "--follow", "--out", out.to_str().unwrap(), &bad, &good]).await;
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["bad.json: failed", "node 2 (SimFail): ", "good.json: succeeded"]);
    assert_eq!(files_in(&out).len(), 1);
}

/// Starts following and waits until the job is at the gate of the first server.
async fn following(stage: &Stage, arguments: &[&str]) -> (tokio::process::Child, String) {
    stage.comfys[0].hold();
    let child = command(&stage.client.url, arguments).spawn().unwrap();
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let job = until("the job runs", async || stage.client.queue().await.0.pop()).await;
    (child, job)
}

async fn signal(child: &tokio::process::Child) {
    let id = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
}

#[tokio::test]
async fn ctrl_c_stops_following_and_no_job_and_says_how_to_cancel() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "p.json", &picture(1));
    let (mut child, job) = following(&stage, &["submit", "--follow", &path]).await;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    while !lines.next_line().await.unwrap().unwrap().contains("begins on") {}
    signal(&child).await;
    let mut said = String::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        said.push_str(&line);
    }
    assert!(said.contains(&format!("orchestrator-collector cancel {job}")), "{said}");
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    stage.comfys[0].release();
    stage.client.succeeded(&job).await;
}

#[tokio::test]
async fn a_second_ctrl_c_ends_also_what_is_being_saved_and_leaves_no_part_of_it() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let path = file(folder.path(), "p.json", &picture(1));
    stage.comfys[0].fail(Fault::always("/view", FaultKind::Hang));
    let arguments = ["submit", "--follow", "--out", out.to_str().unwrap(), &path];
    let mut child = command(&stage.client.url, &arguments).spawn().unwrap();
    let begun = async || (out.is_dir() && files_in(&out).len() == 1).then_some(());
    until("a picture is being saved", begun).await;
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    signal(&child).await;
    while !lines.next_line().await.unwrap().unwrap().contains("Ctrl-C again ends at once") {}
    signal(&child).await;
    assert_eq!(child.wait().await.unwrap().code(), Some(130));
    assert_eq!(files_in(&out), Vec::<String>::new());
}

#[tokio::test]
async fn an_interrupted_job_ends_with_1() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let path = file(folder.path(), "p.json", &picture(1));
    let (child, job) = following(&stage, &["submit", "--follow", &path]).await;
    assert_eq!(stage.client.post("/interrupt", &json!({"prompt_id": job})).await.0, 200);
    stage.comfys[0].wait_for(|state| state.counters.interrupts == 1).await.unwrap();
    stage.comfys[0].release();
    let ended = finish(child, "").await;
    assert_eq!(ended.code, 1, "{ended:?}");
    ended.says(&["p.json: interrupted"]);
}

#[tokio::test]
async fn a_lost_connection_is_made_up_for() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let path = file(folder.path(), "p.json", &picture(6));
    let wire = Wire::to(&stage.client.url).await;
    stage.comfys[0].hold();
    let arguments = ["submit", "--follow", "--out", out.to_str().unwrap(), &path];
    let child = command(&wire.url, &arguments).spawn().unwrap();
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let job = until("the job runs", async || stage.client.queue().await.0.pop()).await;
    wire.cut();
    stage.comfys[0].release();
    stage.client.succeeded(&job).await;
    wire.mend();
    let ended = finish(child, "").await.succeeds();
    ended.says(&["following goes on once it answers", "p.json: succeeded"]);
    assert_eq!(pixels(&out.join(&files_in(&out)[0])), expected(6));
}
