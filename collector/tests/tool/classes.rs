//! Where the node classes come from.

use serde_json::json;
use sim::{Comfy, ComfyConfig};

use super::program::{Ended, data, json, known, run_with, text};

/// Runs the program while the servers of this test go on answering.
async fn run_beside(arguments: &[&str], input: &str) -> Ended {
    let (arguments, input) =
        (arguments.iter().map(ToString::to_string).collect::<Vec<_>>(), input.to_owned());
    let run = move || run_with(&arguments.iter().map(String::as_str).collect::<Vec<_>>(), input);
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn a_server_is_asked_for_its_classes() {
    let case = json("default.json");
    let models = vec!["v1-5-pruned-emaonly-fp16.safetensors".to_owned()];
    let comfy = Comfy::start(ComfyConfig { models, ..ComfyConfig::default() }).await.unwrap();
    let url = comfy.url();
    let workflow = case["workflow"].to_string();
    let prompt = run_beside(&["convert", "--backend", &url, "-"], &workflow).await.document();
    assert_eq!(prompt, case["prompt"]);
    let answer = run_beside(&["validate", "--backend", &url, "-"], &prompt.to_string()).await;
    assert_eq!(answer.document(), json!({"node_errors": {}}));
    let needs = run_beside(&["inspect", "--json", "--backend", &url, "-"], &workflow).await.document();
    assert_eq!(needs["work"]["steps"], json!(20));
    let unknown = json("unknown_classes.json")["workflow"].to_string();
    let told = run_beside(&["convert", "--backend", &url, "-"], &unknown).await;
    told.fails(1, &[&format!("classes that {} does not have", url.trim_end_matches('/'))]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_told_without_its_password_and_with_what_to_do() {
    let comfy = Comfy::start(ComfyConfig::default()).await.unwrap();
    let address = comfy.url().replace("http://", "");
    comfy.kill().await;
    let url = format!("http://me:secret@{address}");
    let told = run_beside(&["validate", "--backend", &url, "-"], "{}").await;
    told.fails(1, &["cannot read the node classes at ", "nothing listens there", "--object-info FILE"]);
    assert!(!told.said.contains("secret"), "{}", told.said);
}

#[test]
fn a_file_that_holds_no_classes_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("classes.json");
    for (content, wanted) in [
        ("{", "is no answer of /object_info"),
        ("{}", "has no node classes"),
        (r#"{"nodes": []}"#, "is no answer of /object_info"),
        (r#"{"1": {"class_type": "A", "inputs": {}}}"#, "has no node classes"),
    ] {
        std::fs::write(&file, content).unwrap();
        let told = run_with(&["validate", "--object-info", text(&file), "-"], "{}");
        told.fails(1, &[text(&file), wanted]);
    }
    run_with(&["inspect", "--object-info", "missing.json", "-"], "{\"1\": {\"class_type\": \"A\"}}")
        .fails(1, &["cannot read missing.json"]);
}

#[test]
fn standard_input_can_give_the_classes() {
    let classes = std::fs::read(data("object_info.json")).unwrap();
    let prompt = run_with(&["convert", "--object-info", "-", &data("save_image.png")], classes).document();
    assert_eq!(prompt, known("convert", &[&data("save_image.png")], "").document());
}
