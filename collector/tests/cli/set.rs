//! `--set` and `--upload`.

use serde_json::json;
use sim::Generation;

use super::client::png;
use super::prompts::{copy_of, expected, picture, plain};
use super::shell::{file, run, run_with};
use super::stage::Stage;

#[tokio::test]
async fn a_set_value_changes_the_picture() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    for target in ["2.seed=42", "SimSampler.seed=42"] {
        let arguments = ["submit", "--set", target, "-"];
        let ended = run_with(&stage.client.url, &arguments, &picture(1).to_string()).await.succeeds();
        let history = stage.client.succeeded(ended.out.trim()).await;
        assert_eq!(stage.client.picture_in(&history).await, expected(42), "{target}");
    }
}

#[tokio::test]
async fn a_text_may_be_in_a_file_and_begin_with_the_sign_for_one() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let words = folder.path().join("words.txt");
    std::fs::write(&words, "from a file\n").unwrap();
    let of_file = format!("9.filename_prefix=@{}", words.display());
    for (set, prefix) in [(of_file.as_str(), "from a file"), ("9.filename_prefix=@@me", "@me")] {
        let ended = run_with(&stage.client.url, &["submit", "--set", set, "-"], &plain(1).to_string()).await;
        let history = stage.client.succeeded(ended.succeeds().out.trim()).await;
        assert_eq!(history["prompt"][2]["9"]["inputs"]["filename_prefix"], json!(prefix));
    }
}

#[tokio::test]
async fn an_input_that_takes_uploads_is_sent_the_file() {
    let stage = Stage::of(Generation::V0_8, 2).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cat.png");
    std::fs::write(&path, png(5)).unwrap();
    let set = format!("LoadImage.image=@{}", path.display());
    let upload = format!("cats/tom.png={}", path.display());
    for (arguments, document) in [
        (["submit", "--set", &set, "-"], copy_of("none.png")),
        (["submit", "--upload", &upload, "-"], copy_of("cats/tom.png")),
    ] {
        let ended = run_with(&stage.client.url, &arguments, &document.to_string()).await.succeeds();
        let history = stage.client.succeeded(ended.out.trim()).await;
        assert_eq!(stage.client.picture_in(&history).await, sim::picture::sampled(5, 6, 5));
    }
}

#[tokio::test]
async fn an_upload_under_a_name_that_is_taken_replaces_nothing_and_is_used() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    assert_eq!(stage.client.upload("a.png", png(1), &[]).await.0, 200);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("mine.png");
    std::fs::write(&path, png(2)).unwrap();
    let upload = format!("a.png={}", path.display());
    let document = copy_of("a.png").to_string();
    let ours = run_with(&stage.client.url, &["submit", "--upload", &upload, "-"], &document).await.succeeds();
    let theirs = run_with(&stage.client.url, &["submit", "-"], &document).await.succeeds();
    for (ended, seed) in [(ours, 2), (theirs, 1)] {
        let history = stage.client.succeeded(ended.out.trim()).await;
        assert_eq!(stage.client.picture_in(&history).await, sim::picture::sampled(seed, 6, 5));
    }
}

#[tokio::test]
async fn what_cannot_be_set_is_told_with_what_can_and_nothing_is_submitted() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good.json", &picture(1));
    for (set, wanted) in [
        ("7.seed=1", "no node has the id, the title or the class \"7\"; there are\n  1 (SimLoader)"),
        ("2.sed=1", "node 2 (SimSampler) has no input \"sed\"; it has model, seed, steps"),
        ("2.seed=many", "--set 2.seed: \"many\" is no whole number"),
        ("1.ckpt_name=none.safetensors", "none of its choices: sd15.safetensors"),
        ("2.model=sd15", "it takes"),
        ("9.filename_prefix=@/nowhere/words.txt", "cannot read /nowhere/words.txt"),
    ] {
        run(&stage.client.url, &["submit", &good, "--set", set]).await.fails(2, &[wanted]);
    }
    run(&stage.client.url, &["submit", &good, "--upload", "a.png=/nowhere/a.png"])
        .await
        .fails(2, &["/nowhere/a.png"]);
    assert_eq!(stage.client.get("/prompt").await, json!({"exec_info": {"queue_remaining": 0}}));
    assert_eq!(stage.client.get("/history").await, json!({}));
}
