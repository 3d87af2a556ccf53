//! `inspect`.

use serde_json::{Value, json};

use super::program::{data, json, known, run_with};

#[test]
fn a_prompt_is_told_with_its_classes_files_and_numbers() {
    let prompt = json("default.json")["prompt"].to_string();
    let expected = "\
Node classes:
  CLIPTextEncode
  CheckpointLoaderSimple
  EmptyLatentImage
  KSampler
  SaveImage
  VAEDecode

Model files:
  v1-5-pruned-emaonly-fp16.safetensors  ckpt_name of node 4 (CheckpointLoaderSimple)

Uploaded files: none

Files of earlier jobs: none

Work:
  size      512 × 512 pixels
  batch     1
  steps     20
  cfg       8
  samplers  euler
";
    let by_classes = known("inspect", &["-"], &prompt);
    assert_eq!((by_classes.code, by_classes.said.as_str(), by_classes.out.as_str()), (0, "", expected));
    let by_names = run_with(&["inspect", "-"], &prompt);
    assert_eq!((by_names.code, by_names.out.as_str()), (0, expected));
    by_names.says(&["without --backend or --object-info", "names alone"]);
}

#[test]
fn machines_get_json() {
    let prompt = json!({
        "1": {"class_type": "LoadImage", "inputs": {"image": "cats/tom.png"}},
        "2": {"class_type": "LoadImage", "inputs": {"image": "a_00001_.png [output]"}},
        "3": {"class_type": "ImageBatch", "inputs": {"image1": ["1", 0], "image2": ["2", 0]}},
        "4": {"class_type": "SaveImage", "inputs": {"images": ["3", 0], "filename_prefix": "b.png"}},
    });
    let needs = known("inspect", &["--json", "-"], prompt.to_string()).document();
    assert_eq!(needs["classes"], json!(["ImageBatch", "LoadImage", "SaveImage"]));
    assert_eq!(needs["files"], json!([{"subfolder": "cats", "name": "tom.png"}]));
    assert_eq!(needs["outputs"], json!([{"filename": "a_00001_.png", "subfolder": "", "type": "output"}]));
    assert_eq!((&needs["assets"], needs.get("work")), (&json!([]), None));
}

#[test]
fn a_workflow_is_converted_first_for_which_classes_are_needed() {
    let workflow = json("default.json")["workflow"].to_string();
    let needs = known("inspect", &["--json", "-"], &workflow).document();
    assert_eq!(needs["assets"][0]["name"], "v1-5-pruned-emaonly-fp16.safetensors");
    let unknown = run_with(&["inspect", "-"], &workflow);
    unknown.fails(1, &["standard input is a workflow", "--backend URL", "--object-info FILE"]);
}

#[test]
fn a_picture_is_told_by_the_prompt_that_made_it() {
    let ended = run_with(&["inspect", "--json", &data("save_image.png")], "");
    let needs: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, &needs["work"]["width"]), (0, &json!(8)));
}

#[test]
fn a_node_that_is_none_is_named() {
    for (prompt, node) in [
        (r#"{"1": {"class_type": "A"}, "7": {"inputs": {}}}"#, "at node 7: missing field `class_type`"),
        (r#"{"1": {"class_type": "A"}, "8": 5}"#, "at node 8"),
    ] {
        run_with(&["inspect", "-"], prompt).fails(1, &["standard input: not a prompt", node]);
    }
}
