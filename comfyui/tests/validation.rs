//! Validation answers what recorded servers answered: every case of `prompt-validation/`, and every prompt of the
//! 0.8.0 transcript.
//!
//! `cases.json` was recorded with a server's `POST /prompt`; `rules.json` with the validation of ComfyUI 0.8.0 itself,
//! for prompts that were broken in odd ways, about one a rule. A server goes through hash tables, so lists that are of chance there
//! are compared as sets; tracebacks and tooltips are left out.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use comfyui::ObjectInfo;
use comfyui::validate::{Verdict, validate, validate_request};
use serde_json::{Value, json};

fn read(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

fn info() -> ObjectInfo {
    serde_json::from_str(include_str!("object_info.json")).unwrap()
}

/// A document without what is of chance or left out: the same for every answer that says the same.
fn settled(document: &Value) -> Value {
    settle("", document)
}

fn settle(key: &str, value: &Value) -> Value {
    match value {
        Value::Object(entries) => {
            let kept = entries.iter().filter(|(key, _)| !["traceback", "tooltip"].contains(&key.as_str()));
            kept.map(|(key, value)| (key.clone(), settle(key, value))).collect()
        }
        Value::Array(items) => {
            let mut items: Vec<Value> = items.iter().map(|item| settle("", item)).collect();
            if ["errors", "dependent_outputs"].contains(&key) {
                items.sort_by_key(Value::to_string);
            }
            Value::Array(items)
        }
        Value::String(text) if key == "details" => {
            let mut lines: Vec<&str> = text.split('\n').collect();
            lines.sort_unstable();
            json!(lines)
        }
        other => other.clone(),
    }
}

/// The answer as the server gives it, but for the id and the number that only it knows.
fn answer(verdict: &Verdict) -> Value {
    verdict.answer().unwrap_or_default()
}

fn without_id(answer: &Value) -> Value {
    let mut answer = answer.clone();
    if let Some(entries) = answer.as_object_mut() {
        entries.shift_remove("prompt_id");
        entries.shift_remove("number");
    }
    answer
}

fn assert_equal(name: &Value, verdict: &Verdict, status: &Value, expected: &Value) {
    assert_eq!(json!(verdict.status()), *status, "{name}: {:#}", answer(verdict));
    assert_eq!(settled(&answer(verdict)), settled(&without_id(expected)), "{name}");
}

#[test]
fn every_recorded_prompt_is_answered_as_the_server_answered() {
    let (info, cases) = (info(), read(include_str!("prompt-validation/cases.json")));
    let cases = cases.as_array().unwrap();
    assert!(cases.len() >= 268, "{}", cases.len());
    for case in cases {
        let verdict = validate(&case["prompt"], &info, None);
        assert_equal(&case["name"], &verdict, &case["status"], &case["answer"]);
    }
}

/// The classes as a server's own documents of them, which name modules.
fn info_of_server() -> ObjectInfo {
    let mut info = info();
    for class in info.0.values_mut() {
        class.extra.insert("python_module".to_owned(), json!("nodes"));
    }
    info
}

fn strings(list: &Value) -> Vec<String> {
    list.as_array().unwrap().iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

#[test]
fn every_oddly_broken_prompt_is_answered_as_comfyui_answered() {
    let (info, cases) = (info_of_server(), read(include_str!("prompt-validation/rules.json")));
    let cases = cases.as_array().unwrap();
    assert!(cases.len() > 60, "{}", cases.len());
    for case in cases {
        let targets = case.get("targets").map(strings);
        let verdict = validate(&case["prompt"], &info, targets.as_deref());
        assert_equal(&case["name"], &verdict, &case["status"], &case["answer"]);
        if let Verdict::Accepted(accepted) = &verdict {
            let mut outputs = accepted.outputs.clone();
            outputs.sort();
            assert_eq!(outputs, strings(&case["outputs"]), "{}", case["name"]);
        }
    }
}

/// The classes of the server of the transcript: those of ComfyUI, and test nodes.
fn info_of_transcript(transcript: &Value) -> ObjectInfo {
    let test_nodes: ObjectInfo =
        serde_json::from_value(transcript["object_info_of_test_nodes"].clone()).unwrap();
    ObjectInfo::union([&info(), &test_nodes])
}

#[test]
fn every_submission_of_the_transcript_is_answered_as_the_server_answered() {
    let transcript = read(include_str!("transcripts/0.8.0.json"));
    let info = info_of_transcript(&transcript);
    let mut submissions = 0;
    for call in transcript["http"].as_array().unwrap() {
        let (request, response) = (&call["request"], &call["response"]);
        if (&request["method"], &request["path"]) != (&json!("POST"), &json!("/prompt")) {
            continue;
        }
        // What is no JSON never comes to validation.
        let Some(body) = request.get("json") else { continue };
        let verdict = validate_request(body, &info);
        assert_equal(&call["name"], &verdict, &response["status"], &response["json"]);
        submissions += 1;
    }
    assert!(submissions > 20, "{submissions}");
}

/// A picture that goes through `length` inverters, the last of which takes it from an `EmptyImage` of this width.
fn chain(length: usize, width: &Value) -> Value {
    let mut prompt = json!({
        "out": {"class_type": "PreviewImage", "inputs": {"images": ["0", 0]}},
        length.to_string(): {
            "class_type": "EmptyImage",
            "inputs": {"width": width, "height": 64, "batch_size": 1, "color": 0},
        },
    });
    for node in 0..length {
        prompt[node.to_string()] =
            json!({"class_type": "ImageInvert", "inputs": {"image": [(node + 1).to_string(), 0]}});
    }
    prompt
}

fn first_error<'a>(verdict: &'a Verdict, node: &str) -> &'a Value {
    let Verdict::Refused(rejected) = verdict else { panic!("{verdict:?}") };
    &rejected.node_errors[node]["errors"][0]
}

#[test]
fn a_chain_is_followed_as_far_as_python_follows_it() {
    let info = info();
    assert_eq!(validate(&chain(981, &json!(64)), &info, None).status(), 200);
    let at_the_end = validate(&chain(981, &json!(0)), &info, None);
    assert_eq!(first_error(&at_the_end, "981")["type"], "value_smaller_than_min");
    for length in [982, 100_000] {
        let beyond = validate(&chain(length, &json!(0)), &info, None);
        let error = first_error(&beyond, "978");
        assert_eq!(error["extra_info"]["exception_type"], "RecursionError", "{length}");
        assert_eq!(error["extra_info"]["linked_node"], json!(["978", 0]), "{length}");
    }
}

#[test]
fn nodes_too_far_from_one_output_are_looked_at_once_and_count_for_a_nearer_one() {
    let info: ObjectInfo = serde_json::from_value(json!({
        "Knot": {"input": {"required": {"size": ["INT", {}], "rope": ["ROPE"]}}, "output": ["ROPE"]},
        "Rope": {"input": {}, "output": ["ROPE"]},
        "Show": {"input": {"required": {"rope": ["ROPE"]}}, "output": [], "output_node": true},
    }))
    .unwrap();
    let knot = |next: &str| json!({"class_type": "Knot", "inputs": {"size": "1", "rope": [next, 0]}});
    let show = |first: &str| json!({"class_type": "Show", "inputs": {"rope": [first, 0]}});
    let mut prompt = json!({
        "far": show("a0"), "as far": show("b0"), "near": show("shared"),
        "shared": knot("next"), "next": knot("end"), "end": {"class_type": "Rope", "inputs": {}},
    });
    for chain in ["a", "b"] {
        for node in 0..980 {
            let next = if node == 979 { "shared".to_owned() } else { format!("{chain}{}", node + 1) };
            prompt[format!("{chain}{node}")] = knot(&next);
        }
    }
    let Verdict::Accepted(accepted) = validate(&prompt, &info, None) else { panic!("refused") };
    assert_eq!(accepted.outputs, ["near"]);
    for node in ["shared", "next"] {
        assert_eq!(
            accepted.conversions.iter().filter(|conversion| conversion.node == node).count(),
            1,
            "{node}"
        );
    }
}

#[test]
fn a_node_of_a_cycle_is_not_valid_and_only_its_own_errors_are_told() {
    let blend = |first: &str, factor: &Value| {
        json!({
            "class_type": "ImageBlend",
            "inputs": {"image1": [first, 0], "image2": [first, 0], "blend_factor": factor, "blend_mode": "normal"},
        })
    };
    let out = json!({"class_type": "PreviewImage", "inputs": {"images": ["a", 0]}});
    let silent = json!({"out": out, "a": blend("b", &json!(0.5)), "b": blend("a", &json!(0.5))});
    let verdict = validate(&silent, &info(), None);
    assert_eq!(verdict.status(), 400);
    assert_eq!(verdict.answer().unwrap()["node_errors"], json!({}));

    let itself = json!({"out": out, "a": blend("a", &json!("x"))});
    let verdict = validate(&itself, &info(), None);
    assert_eq!(first_error(&verdict, "a")["type"], "invalid_input_type");
}

#[test]
fn an_accepted_prompt_runs_with_values_of_the_types_that_its_inputs_take() {
    let mut prompt = json!({
        "1": {
            "class_type": "EmptyImage",
            "inputs": {"width": " 64 ", "height": 64.9, "batch_size": true, "color": {"__value__": "0"}},
        },
        "2": {"class_type": "ImageBlend", "inputs": {
            "image1": ["1", 0], "image2": ["1", 0], "blend_factor": 1, "blend_mode": "normal", "unknown": "1",
        }},
        "3": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": 1.0}},
    });
    let Verdict::Accepted(accepted) = validate(&prompt, &info(), None) else { panic!("refused") };
    accepted.convert(&mut prompt);
    assert_eq!(prompt["1"]["inputs"], json!({"width": 64, "height": 64, "batch_size": 1, "color": 0}));
    assert_eq!(prompt["2"]["inputs"]["blend_factor"], json!(1.0));
    assert_eq!(prompt["2"]["inputs"]["unknown"], json!("1"));
    assert_eq!(prompt["3"]["inputs"]["filename_prefix"], json!("1.0"));
}

#[test]
fn a_body_is_refused_for_what_stands_around_the_prompt_too() {
    let (info, prompt) = (info(), chain(1, &json!(64)));
    for (body, status) in [
        (json!({"prompt": prompt}), 200),
        (json!({"prompt": prompt, "number": "7"}), 200),
        (json!({"prompt": prompt, "number": "seven"}), 500),
        (json!({"prompt": prompt, "number": null}), 500),
        (json!({"prompt": prompt, "extra_data": []}), 500),
        (json!({"prompt": {}, "extra_data": []}), 400),
        (json!({"prompt": {}, "extra_data": [], "client_id": "c"}), 500),
        (json!({"prompt": prompt, "partial_execution_targets": null}), 200),
        (json!({"prompt": prompt, "partial_execution_targets": ["out", "nobody"]}), 200),
        (json!({"prompt": prompt, "partial_execution_targets": "without it"}), 200),
        (json!({"prompt": prompt, "partial_execution_targets": "out".repeat(342)}), 400),
        (json!({"prompt": prompt, "partial_execution_targets": [1, "out"]}), 200),
        (json!({"prompt": prompt, "partial_execution_targets": {"out": 1}}), 200),
        (json!({"prompt": prompt, "partial_execution_targets": []}), 400),
        (json!({"prompt": prompt, "partial_execution_targets": 5}), 500),
        (json!({}), 400),
        (json!([]), 400),
        (json!(null), 500),
    ] {
        assert_eq!(validate_request(&body, &info).status(), status, "{body}");
    }
}

#[test]
fn a_hostile_prompt_is_answered_within_bounds() {
    let bad = json!({"class_type": "SaveImage", "inputs": {"images": ["nobody", 0]}});
    let prompt: Value =
        (0..20_000).map(|id| (id.to_string(), bad.clone())).collect::<serde_json::Map<_, _>>().into();
    let answer = validate(&prompt, &info(), None).answer().unwrap();
    let nodes = answer["node_errors"].as_object().unwrap();
    assert_eq!(nodes.len(), 1000);
    let dependents = nodes.values().map(|node| node["dependent_outputs"].as_array().unwrap().len());
    assert_eq!(dependents.sum::<usize>(), 100_000);
}
