//! Conversion makes the prompts that ComfyUI's own web interface made of the same workflows.
//!
//! `conversion/cases` were recorded with interface 1.35.9 and `cases-newer` with 1.58.1, of real workflows whose prose was
//! replaced; `unknown-nodes` have nodes that the server did not know. `drawn.json` holds small workflows made for what
//! real ones seldom have, with what one interface or the other made of them. All for the server of `object_info.json`;
//! `odd-classes.json` is like `drawn.json`, but for classes of its own.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use comfyui::convert::{ConvertError, Interface, Options, convert};
use comfyui::{ObjectInfo, Prompt, Verdict, Workflow, validate};
use serde_json::{Value, json};

static INFO: LazyLock<ObjectInfo> =
    LazyLock::new(|| serde_json::from_str(include_str!("object_info.json")).unwrap());

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conversion").join(folder);
    let mut files: Vec<PathBuf> = folder.read_dir().unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

fn converted(workflow: &Value, interface: Interface) -> Result<Prompt, ConvertError> {
    let workflow = Workflow::from_value(workflow).unwrap();
    convert(&workflow, &INFO, &Options { interface, ..Options::default() })
}

/// The nodes that differ, each with both of its forms.
fn differences(ours: &Value, theirs: &Value) -> Vec<String> {
    let ids: BTreeSet<&String> =
        [ours, theirs].iter().flat_map(|prompt| prompt.as_object().unwrap().keys()).collect();
    let differs = |id: &&&String| !same(&ours[**id], &theirs[**id]);
    ids.iter().filter(differs).map(|id| format!("{id}: ours {}, theirs {}", ours[*id], theirs[*id])).collect()
}

/// Equal as JSON in a browser has it, where 1 and 1.0 are one number.
fn same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one.iter().all(|(key, value)| other.get(key).is_some_and(|other| same(value, other)))
        }
        (one, other) => one == other,
    }
}

fn every_case_is_equal(folder: &str, interface: Interface, count: usize) {
    let files = files(folder);
    assert_eq!(files.len(), count);
    for file in files {
        let case = read(&file);
        let prompt =
            converted(&case["workflow"], interface).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        let differences = differences(&serde_json::to_value(prompt).unwrap(), &case["prompt"]);
        assert!(differences.is_empty(), "{}:\n{}", file.display(), differences.join("\n"));
    }
}

#[test]
fn real_workflows_become_the_prompts_that_the_interface_of_2025_made() {
    every_case_is_equal("cases", Interface::V1_35, 124);
}

#[test]
fn real_workflows_become_the_prompts_that_the_interface_of_2026_made() {
    every_case_is_equal("cases-newer", Interface::V1_58, 84);
}

#[test]
fn unknown_classes_are_named_with_the_nodes_that_use_them() {
    let files = files("unknown-nodes");
    assert_eq!(files.len(), 18);
    for file in files {
        let case = read(&file);
        let Err(ConvertError::UnknownClasses(unknown)) = converted(&case["workflow"], Interface::V1_35)
        else {
            panic!("{} was converted", file.display());
        };
        let ours: BTreeSet<&str> = unknown.iter().map(|unknown| unknown.class.as_str()).collect();
        let theirs = case["missing_node_types"]
            .as_array()
            .unwrap()
            .iter()
            .map(|class| class.as_str().unwrap())
            .collect();
        assert_eq!(ours, theirs, "{}", file.display());
        assert!(unknown.iter().all(|unknown| !unknown.nodes.is_empty()));
    }
}

/// What is wrong with our prompts of small workflows, each of which says which classes of its own it has.
fn wrong_among(cases: &str, at_least: usize) -> Vec<String> {
    let cases: Vec<Value> = serde_json::from_str(cases).unwrap();
    assert!(cases.len() >= at_least);
    let mut wrong = Vec::new();
    for case in &cases {
        let interface = if case["interface"] == "1.58.1" { Interface::V1_58 } else { Interface::V1_35 };
        let mut info = Cow::Borrowed(&*INFO);
        if let Some(own) = case.get("classes") {
            info.to_mut().0.extend(serde_json::from_value::<ObjectInfo>(own.clone()).unwrap().0);
        }
        let workflow = Workflow::from_value(&case["workflow"]).unwrap();
        let name = format!("{} ({})", case["name"], case["interface"]);
        match convert(&workflow, &info, &Options { interface, ..Options::default() }) {
            Ok(prompt) => {
                let differences = differences(&serde_json::to_value(prompt).unwrap(), &case["prompt"]);
                wrong.extend(differences.into_iter().map(|difference| format!("{name}: {difference}")));
            }
            Err(error) => wrong.push(format!("{name}: {error}")),
        }
    }
    wrong
}

#[test]
fn workflows_drawn_for_odd_spots_become_what_the_interfaces_made_of_them() {
    let wrong = wrong_among(include_str!("conversion/drawn.json"), 400);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nodes_of_odd_classes_become_what_the_interfaces_made_of_them() {
    let wrong = wrong_among(include_str!("conversion/odd-classes.json"), 150);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_converted_prompt_is_sound_whatever_its_values_are() {
    // Values are the author's, and may be of an older class; links and classes are the conversion's.
    let of_structure = [
        "bad_linked_input",
        "return_type_mismatch",
        "exception_during_validation",
        "exception_during_inner_validation",
    ];
    // The newer cases link to outputs that their nodes did not have yet on the server of `object_info.json`.
    for file in files("cases") {
        let prompt = converted(&read(&file)["workflow"], Interface::V1_35).unwrap();
        let node_errors = match validate(&serde_json::to_value(&prompt).unwrap(), &INFO, None) {
            Verdict::Accepted(accepted) => accepted.node_errors,
            Verdict::Refused(refused) => {
                assert_eq!(refused.kind(), Some("prompt_outputs_failed_validation"), "{}", file.display());
                refused.node_errors
            }
            Verdict::Trips => panic!("{} trips the server", file.display()),
        };
        let errors =
            node_errors.as_object().unwrap().values().flat_map(|node| node["errors"].as_array().unwrap());
        for error in errors {
            assert!(!of_structure.contains(&error["type"].as_str().unwrap()), "{}: {error}", file.display());
        }
    }
}

#[test]
fn a_node_of_an_unknown_class_counts_only_where_it_runs() {
    let with_mode = |mode: u8| {
        json!({
            "nodes": [
                {"id": 1, "type": "EmptyImage", "widgets_values": [64, 64, 1, 0]},
                {"id": 2, "type": "Polish", "mode": mode,
                 "inputs": [{"name": "mask", "type": "MASK"}, {"name": "image", "type": "IMAGE", "link": 1}],
                 "outputs": [{"name": "IMAGE", "type": "IMAGE", "links": [2]}]},
                {"id": 3, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]},
            ],
            "links": [[1, 1, 0, 2, 1, "IMAGE"], [2, 2, 0, 3, 0, "IMAGE"]],
        })
    };
    for interface in [Interface::V1_35, Interface::V1_58] {
        let error = converted(&with_mode(0), interface).unwrap_err();
        assert_eq!(error.to_string(), "the server does not know Polish (node 2)");
        let muted = converted(&with_mode(2), interface).unwrap();
        assert!(!muted.0["3"].inputs.contains_key("images"));
        let bypassed = converted(&with_mode(4), interface).unwrap();
        assert_eq!(bypassed.0["3"].inputs["images"], json!(["1", 0]));
    }
}

#[test]
fn values_saved_by_name_find_their_widgets() {
    let workflow = json!({"nodes": [
        {"id": 1, "type": "EmptyImage", "widgets_values": {"height": 3, "width": 2, "unheard-of": 1}},
    ]});
    let prompt = converted(&workflow, Interface::V1_35).unwrap();
    assert_eq!(
        serde_json::to_value(&prompt.0["1"].inputs).unwrap(),
        json!({"width": 2, "height": 3, "batch_size": 1, "color": 0})
    );
}

#[test]
fn broken_workflows_are_refused_with_the_place_of_the_fault() {
    let image = json!({"id": 1, "type": "EmptyImage"});
    let save =
        json!({"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 7}]});
    for (workflow, expected) in [
        (json!({"nodes": [save]}), "node 2, input 0 (images): link 7 does not exist"),
        (
            json!({"nodes": [save], "links": [[7, 1, 0, 2, 0, "IMAGE"]]}),
            "node 2, input 0 (images): link 7 comes from node 1, which does not exist",
        ),
        (json!({"nodes": [image, image]}), "node 1: another node has the same id"),
        (
            json!({"nodes": [{"id": 1, "type": "s"}],
                   "definitions": {"subgraphs": [{"id": "s", "name": "Loop", "nodes": [{"id": 1, "type": "s"}]}]}}),
            "subgraph s (Loop): it contains itself",
        ),
        (
            json!({"nodes": [
                {"id": 1, "type": "Reroute", "inputs": [{"name": "", "type": "*", "link": 1}]},
                {"id": 2, "type": "SaveImage", "inputs": [{"name": "images", "type": "IMAGE", "link": 2}]}],
                "links": [[1, 1, 0, 1, 0, "*"], [2, 1, 0, 2, 0, "*"]]}),
            "node 2, input 0: its links run in a circle, or through more than 20000 nodes",
        ),
    ] {
        let error = converted(&workflow, Interface::V1_35).unwrap_err();
        assert_eq!(error.to_string(), format!("the workflow is broken, at {expected}"));
    }
}

#[test]
fn subgraphs_that_double_without_end_are_refused() {
    let level = |at: usize| {
        let inner = if at == 0 { "EmptyImage".to_owned() } else { format!("s{}", at - 1) };
        json!({"id": format!("s{at}"), "nodes": [{"id": 1, "type": inner}, {"id": 2, "type": inner}]})
    };
    let subgraphs: Vec<Value> = (0..40).map(level).collect();
    let workflow = json!({"nodes": [{"id": 1, "type": "s39"}], "definitions": {"subgraphs": subgraphs}});
    let error = converted(&workflow, Interface::V1_35).unwrap_err();
    assert_eq!(error.to_string(), "the workflow is too large: more than 50000 nodes");
}

#[test]
fn subgraphs_inside_each_other_have_a_limit() {
    let level = |at: usize| {
        let inner = if at == 0 { "EmptyImage".to_owned() } else { format!("s{}", at - 1) };
        json!({"id": format!("s{at}"), "nodes": [{"id": 1, "type": inner}]})
    };
    let workflow = |depth: usize| {
        let subgraphs: Vec<Value> = (0..depth).map(level).collect();
        json!({"nodes": [{"id": 1, "type": format!("s{}", depth - 1)}], "definitions": {"subgraphs": subgraphs}})
    };
    let deepest = converted(&workflow(100), Interface::V1_35).unwrap();
    assert_eq!(deepest.0.keys().next().unwrap().split(':').count(), 101);
    let error = converted(&workflow(101), Interface::V1_35).unwrap_err();
    assert_eq!(error.to_string(), "the workflow is too large: more than 100 subgraphs inside each other");
}

#[test]
fn texts_that_repeat_each_other_have_a_limit() {
    let text = "x".repeat(100_000);
    let save = |id: usize| json!({"id": id, "type": "SaveImage", "widgets_values": ["%T.text%".repeat(10)]});
    let mut nodes: Vec<Value> = (1..100).map(save).collect();
    nodes.push(json!({"id": 0, "type": "CLIPTextEncode", "title": "T", "widgets_values": [text]}));
    let error = converted(&json!({"nodes": nodes}), Interface::V1_35).unwrap_err();
    assert_eq!(error.to_string(), "the workflow is too large: more than 67108864 bytes in a prompt");
}

#[test]
fn chains_that_many_nodes_end_at_have_a_limit() {
    let mut nodes = vec![json!({"id": 0, "type": "EmptyImage"})];
    let mut links = Vec::new();
    for id in 1..20_000 {
        let (kind, name) = if id < 9_000 { ("Reroute", "") } else { ("SaveImage", "images") };
        nodes.push(json!({"id": id, "type": kind, "inputs": [{"name": name, "type": "*", "link": id}]}));
        links.push(json!([id, if id < 9_000 { id - 1 } else { 8_999 }, 0, id, 0, "*"]));
    }
    let error = converted(&json!({"nodes": nodes, "links": links}), Interface::V1_35).unwrap_err();
    assert_eq!(error.to_string(), "the workflow is too large: more than 10000000 links to follow");
}

#[test]
fn a_picture_from_a_webcam_needs_a_browser() {
    let error =
        converted(&json!({"nodes": [{"id": 1, "type": "WebcamCapture"}]}), Interface::V1_35).unwrap_err();
    assert!(matches!(&error, ConvertError::NeedsBrowser { node, .. } if node == "1"), "{error}");
}

mod mutations {
    //! Whatever is done to a workflow, converting it ends, and ends in an answer.

    use proptest::prelude::*;

    use super::*;

    static WORKFLOWS: LazyLock<Vec<Value>> = LazyLock::new(|| {
        let real = ["cases", "cases-newer", "unknown-nodes"].into_iter().flat_map(files).step_by(7);
        let drawn: Vec<Value> = serde_json::from_str(include_str!("conversion/drawn.json")).unwrap();
        let real = real.map(|file| read(&file)["workflow"].take());
        real.chain(drawn.into_iter().map(|mut case| case["workflow"].take())).collect()
    });

    /// Replaces what lies at a place of the document, counted through all of its values.
    fn replace(document: &mut Value, place: &mut usize, by: &Value) {
        if *place == 0 {
            *place = usize::MAX;
            *document = by.clone();
            return;
        }
        *place = place.saturating_sub(1);
        let inner: Vec<&mut Value> = match document {
            Value::Array(items) => items.iter_mut().collect(),
            Value::Object(entries) => entries.values_mut().collect(),
            _ => return,
        };
        for value in inner {
            if *place == usize::MAX {
                return;
            }
            replace(value, place, by);
        }
    }

    fn size(document: &Value) -> usize {
        match document {
            Value::Array(items) => 1 + items.iter().map(size).sum::<usize>(),
            Value::Object(entries) => 1 + entries.values().map(size).sum::<usize>(),
            _ => 1,
        }
    }

    fn value() -> impl Strategy<Value = Value> {
        prop_oneof![
            Just(Value::Null),
            Just(json!([])),
            Just(json!({})),
            Just(json!({"": null})),
            Just(json!([[["x", -1]]])),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            (-30_i64..200).prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[-a-zA-Z0-9:%.{}|/ ]{0,12}".prop_map(Value::from),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_mutated_workflow_is_converted_or_refused(
            which in any::<prop::sample::Index>(),
            changes in prop::collection::vec((any::<prop::sample::Index>(), value()), 1..6),
            newer in any::<bool>(),
        ) {
            let mut document = WORKFLOWS[which.index(WORKFLOWS.len())].clone();
            for (place, by) in changes {
                let mut place = place.index(size(&document));
                replace(&mut document, &mut place, &by);
            }
            let interface = if newer { Interface::V1_58 } else { Interface::V1_35 };
            let Ok(workflow) = Workflow::from_value(&document) else { return Ok(()) };
            if let Ok(prompt) = convert(&workflow, &INFO, &Options { interface, ..Options::default() }) {
                let verdict = validate(&serde_json::to_value(&prompt).unwrap(), &INFO, None);
                let refused = match &verdict {
                    Verdict::Refused(refused) => refused.kind(),
                    _ => None,
                };
                prop_assert!(verdict != Verdict::Trips && refused != Some("invalid_prompt"), "{:?}", verdict);
                let lost = prompt.0.values().flat_map(|node| node.links()).find(|(_, link)| !prompt.0.contains_key(&link.node));
                prop_assert!(lost.is_none(), "{:?}", lost);
            }
        }
    }
}
