//! The codes for a collector that refuses, or cannot be asked.

use serde_json::json;
use sim::Generation;

use super::prompts::{picture, picture_of};
use super::shell::{file, run, run_with};
use super::stage::{Stage, comfy};

/// Where nothing listens.
const NOWHERE: &str = "http://127.0.0.1:1";

#[tokio::test]
async fn a_refused_prompt_ends_with_3_and_each_fault_in_words() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let bad = file(folder.path(), "bad.json", &picture_of("none.safetensors", 1));
    for flags in [&[][..], &["--follow"]] {
        let ended = run(&stage.client.url, &[&["submit", &bad], flags].concat()).await;
        ended.fails(
            3,
            &["bad.json: refused: ", "node 1 (SimLoader): Value not in list: ckpt_name: 'none.safetensors'"],
        );
    }
    run_with(&stage.client.url, &["submit", "-"], "{}").await.fails(3, &["standard input: refused"]);
}

#[tokio::test]
async fn a_workflow_that_the_fleet_cannot_run_ends_with_3_and_what_it_lacks() {
    let workflow = json!({"nodes": [{"id": 1, "type": "Nobodys"}], "links": []}).to_string();
    let stage = Stage::of(Generation::V0_8, 1).await;
    let ended = run_with(&stage.client.url, &["submit", "-"], &workflow).await;
    ended.fails(3, &["standard input uses node classes that no backend has:\n  Nobodys (node 1)"]);
    let down = comfy(Generation::V0_8).await;
    down.kill().await;
    let stage = Stage::before(vec![down], |_| {}).await;
    let ended = run_with(&stage.client.url, &["submit", "-"], &workflow).await;
    ended.fails(3, &["standard input: no backend has told yet what it offers"]);
}

#[tokio::test]
async fn one_that_is_refused_does_not_keep_the_others_out() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    let folder = tempfile::tempdir().unwrap();
    let bad = file(folder.path(), "bad.json", &picture_of("none.safetensors", 1));
    let good = file(folder.path(), "good.json", &picture(1));
    let ended = run(&stage.client.url, &["submit", &bad, &good]).await;
    assert_eq!((ended.code, ended.out.lines().count()), (3, 1), "{ended:?}");
    stage.client.succeeded(ended.out.trim()).await;
    let ended = run(&stage.client.url, &["submit", "--json", &bad, &good]).await;
    let document = ended.document();
    assert_eq!((ended.code, &document["jobs"][0]["code"]), (3, &json!(3)));
    assert!(document["jobs"][1]["id"].is_string(), "{document}");
    let ended = run(&stage.client.url, &["submit", "--follow", &bad, &good]).await;
    assert_eq!(ended.code, 3, "{ended:?}");
    ended.says(&["bad.json: refused", "good.json: succeeded"]);
}

#[tokio::test]
async fn a_collector_that_is_not_there_ends_with_4() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good.json", &picture(1));
    for arguments in [
        &["submit", &good][..],
        &["submit", "--follow", &good],
        &["submit", "--set", "2.seed=1", &good],
        &["jobs"],
        &["job", "x"],
        &["cancel", "x"],
        &["backends"],
        &["drain", "a"],
        &["free"],
    ] {
        run(NOWHERE, arguments).await.fails(4, &["nothing listens at http://127.0.0.1:1", "--server"]);
    }
}

#[tokio::test]
async fn a_wrong_command_line_or_file_ends_with_2() {
    let folder = tempfile::tempdir().unwrap();
    let good = file(folder.path(), "good.json", &picture(1));
    let blank = file(folder.path(), "blank", &json!(["two words"]));
    for (arguments, wanted) in [
        (&["submit"][..], "<FILE>"),
        (&["submit", "-", "-"], "standard input"),
        (&["submit", "--out", "d", &good], "--follow"),
        (&["submit", "--front", "--number", "1", &good], "cannot be used with"),
        (&["submit", "--set", "seed", &good], "NAME=VALUE"),
        (&["submit", "--number", "nan", &good], "it is a number"),
        (&["submit", "/nowhere/p.json"], "cannot read /nowhere/p.json"),
        (&["backends", "--server", "queue-1"], "http://HOST:PORT"),
        (&["backends", "--token-file", &blank], "no token in its first line"),
        (&["backends", "--token-file", "/nowhere/token"], "cannot read /nowhere/token"),
    ] {
        run(NOWHERE, arguments).await.fails(2, &[wanted]);
    }
    run_with(NOWHERE, &["submit", "-"], "a cat").await.fails(2, &["standard input"]);
}

#[tokio::test]
async fn an_id_that_nobody_knows_ends_with_3() {
    let stage = Stage::of(Generation::V0_8, 1).await;
    run(&stage.client.url, &["job", "x"]).await.fails(3, &["no job has the id x"]);
}
