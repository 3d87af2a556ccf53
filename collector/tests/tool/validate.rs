//! `validate`.

use serde_json::{Value, json};

use super::program::{Ended, data, json, known};

/// An output that runs, and one without a picture.
fn half_valid() -> Value {
    json!({
        "1": {"class_type": "EmptyImage", "inputs": {"width": 64, "height": 64, "batch_size": 1, "color": 0}},
        "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "a"}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "b"}},
    })
}

fn valid() -> Value {
    let mut prompt = half_valid();
    prompt.as_object_mut().unwrap().remove("3");
    prompt
}

fn validated(document: &Value) -> Ended {
    known("validate", &["-"], document.to_string())
}

fn printed(ended: &Ended) -> Value {
    serde_json::from_str(&ended.out).unwrap()
}

#[test]
fn the_answer_is_the_document_that_a_server_gave() {
    let cases = json("answers.json");
    for case in cases.as_array().unwrap() {
        let (name, answer) = (&case["name"], &case["answer"]);
        let ended = validated(&case["prompt"]);
        let mut theirs = json!({"node_errors": answer["node_errors"]});
        if let Some(error) = answer.get("error") {
            theirs["error"] = error.clone();
        }
        assert_eq!(settled(printed(&ended)), settled(theirs), "{name}");
        assert_eq!((ended.code, ended.said.as_str()), (i32::from(case["status"] != 200), ""), "{name}");
    }
}

/// The recordings have no tracebacks.
fn settled(mut answer: Value) -> Value {
    for node in answer["node_errors"].as_object_mut().unwrap().values_mut() {
        for error in node["errors"].as_array_mut().unwrap() {
            error["extra_info"].as_object_mut().unwrap().remove("traceback");
        }
    }
    answer
}

#[test]
fn a_prompt_of_which_only_a_part_runs_is_answered_as_accepted_and_ends_with_1() {
    let ended = validated(&half_valid());
    let answer = printed(&ended);
    assert_eq!(answer["node_errors"]["3"]["errors"][0]["type"], "required_input_missing");
    assert_eq!((ended.code, answer.get("error")), (1, None));
    ended.says(&["it runs only 2"]);
}

#[test]
fn a_body_is_judged_as_a_body() {
    let accepted = validated(&json!({"prompt": half_valid(), "partial_execution_targets": ["2"]}));
    assert_eq!(accepted.document(), json!({"node_errors": {}}));
    let none = validated(&json!({"prompt": half_valid(), "partial_execution_targets": []}));
    assert_eq!((none.code, &printed(&none)["error"]["type"]), (1, &json!("prompt_no_outputs")));
}

#[test]
fn odd_documents_are_answered_as_a_server_answers_them() {
    for (prompt, kind) in [
        (json!({}), "prompt_no_outputs"),
        (json!([]), "prompt_no_outputs"),
        (json!({"1": {"inputs": {}}}), "invalid_prompt"),
        (json!({"1": {"class_type": "Nothing"}}), "invalid_prompt"),
    ] {
        let ended = validated(&prompt);
        assert_eq!((ended.code, &printed(&ended)["error"]["type"]), (1, &json!(kind)), "{prompt}");
    }
}

#[test]
fn what_a_server_trips_over_is_said_and_prints_no_document() {
    for document in [json!(5), json!({"prompt": 5}), json!({"prompt": valid(), "extra_data": 5})] {
        validated(&document).fails(1, &["standard input: ComfyUI trips over this", "500"]);
    }
}

#[test]
fn a_picture_is_judged_by_the_prompt_inside_it() {
    for picture in ["save_image.png", "prompt_alone.png"] {
        let ended = known("validate", &[&data(picture)], "");
        assert_eq!(ended.document(), json!({"node_errors": {}}), "{picture}");
    }
    known("validate", &[&data("stripped.png")], "").fails(1, &["stripped.png: a PNG without"]);
}

#[test]
fn a_workflow_is_converted_first_and_that_is_said() {
    let ended = validated(&json("default.json")["workflow"]);
    ended.says(&["standard input holds a workflow"]);
    assert_eq!(
        (ended.code, &printed(&ended)["node_errors"]["4"]["class_type"]),
        (1, &json!("CheckpointLoaderSimple"))
    );
    validated(&json("unknown_classes.json")["workflow"]).fails(1, &["  SaveAudioMP3 (node 19)\n"]);
}

#[test]
fn what_is_no_json_is_told() {
    known("validate", &["-"], r#"{"1": "#).fails(1, &["standard input: this is no JSON", "line 1"]);
    known("validate", &["-"], "a cat").fails(1, &["no PNG, no WebP and no JSON"]);
}
