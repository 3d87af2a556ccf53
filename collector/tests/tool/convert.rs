//! `convert`.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::program::{command, data, finish, json, known, run_with};

#[test]
fn a_workflow_becomes_the_prompt_that_the_web_interface_makes() {
    for (case, interface) in [
        ("default.json", &[][..]),
        ("subgraph.json", &["--interface", "1.35"]),
        ("of_1.58.json", &["--interface", "1.58"]),
        ("of_1.58.json", &["--interface", "1.58.1"]),
    ] {
        let case = json(case);
        let ended = known("convert", &[interface, &["-"]].concat(), case["workflow"].to_string());
        assert_eq!(ended.document(), case["prompt"]);
    }
}

#[test]
fn an_older_interface_notes_no_packs() {
    let workflow = json("of_1.58.json")["workflow"].to_string();
    let packs = |interface: &str| {
        let prompt = known("convert", &["--interface", interface, "-"], &workflow).document();
        let nodes: Vec<Value> = prompt.as_object().unwrap().values().cloned().collect();
        nodes.iter().filter(|node| node["_meta"].get("cnr_id").is_some()).count()
    };
    assert_eq!((packs("1.35"), packs("1.58")), (0, 2));
}

#[test]
fn a_picture_gives_the_workflow_inside_it() {
    for picture in ["save_image.png", "save_animated.webp"] {
        let prompt = known("convert", &[&data(picture)], "").document();
        assert_eq!(prompt["3"]["class_type"], "EmptyImage", "{picture}");
        assert_eq!(prompt["3"]["_meta"]["title"], "Größe 猫", "{picture}");
    }
}

#[test]
fn what_is_a_prompt_already_is_passed_on_and_said_and_needs_no_server() {
    let prompt = json("default.json")["prompt"].clone();
    for document in [prompt.clone(), json!({"prompt": prompt, "client_id": "c"})] {
        let ended = run_with(&["convert", "--backend", "http://127.0.0.1:1", "-"], document.to_string());
        assert_eq!((ended.code, serde_json::from_str::<Value>(&ended.out).unwrap()), (0, prompt.clone()));
        ended.says(&["standard input holds a prompt already"]);
    }
    let ended = run_with(&["convert", &data("prompt_alone.png")], "");
    ended.says(&["prompt_alone.png holds a prompt already"]);
    assert!(ended.code == 0 && ended.out.contains("EmptyImage"));
}

#[test]
fn unknown_classes_are_listed_a_line_each_with_their_nodes_and_what_to_do() {
    let workflow = json("unknown_classes.json")["workflow"].to_string();
    let ended = known("convert", &["-"], workflow);
    ended.fails(1, &["standard input uses 3 node classes that ", "object_info.json does not have:\n"]);
    ended.says(&[
        "\n  SaveAudioMP3 (node 19)\n",
        "\n  EmptyLatentAudio (node 11)\n",
        "--backend",
        "--object-info",
    ]);
    assert_eq!(ended.said.lines().filter(|line| line.starts_with("  ")).count(), 3, "{}", ended.said);
}

#[test]
fn a_malformed_document_is_told_with_its_name_and_the_path_to_the_fault() {
    for (document, wanted) in [
        (r#"{"nodes": [{"id": 1, "type": "X", "mode": "muted"}]}"#, "nodes[0].mode"),
        (r#"{"nodes": {"id": 1}}"#, "at nodes"),
        (r#"{"nodes": ["#, "line 1"),
        ("{}", "neither a workflow"),
        ("a cat", "no PNG, no WebP and no JSON"),
        ("", "empty"),
        (
            r#"{"nodes": [{"id": 1, "type": "SaveImage", "inputs": [{"name": "images", "link": 7}]}],
             "links": [[7, 2, 0, 1, 0, "IMAGE"]]}"#,
            "node 1",
        ),
    ] {
        known("convert", &["-"], document).fails(1, &["standard input", wanted]);
    }
    known("convert", &[&data("stripped.png")], "")
        .fails(1, &["stripped.png", "without a workflow or prompt"]);
    known("convert", &["missing.json"], "").fails(1, &["cannot read missing.json"]);
}

/// The prompts that texts with alternatives become.
fn chosen(seed: &[&str]) -> String {
    let mut workflow = json("default.json")["workflow"].clone();
    let nodes = workflow["nodes"].as_array_mut().unwrap();
    nodes.iter_mut().find(|node| node["id"] == 6).unwrap()["widgets_values"] = json!(["a {red|blue} car"]);
    let prompt = known("convert", &[seed, &["-"]].concat(), workflow.to_string()).document();
    prompt["6"]["inputs"]["text"].as_str().unwrap().to_owned()
}

#[test]
fn a_seed_decides_among_alternatives_and_without_one_it_is_chance() {
    let both = BTreeSet::from(["a blue car".to_owned(), "a red car".to_owned()]);
    let by_seed: Vec<String> = (0..10).map(|seed: u64| chosen(&["--seed", &seed.to_string()])).collect();
    let again: Vec<String> = (0..10).map(|seed: u64| chosen(&["--seed", &seed.to_string()])).collect();
    assert_eq!(by_seed, again);
    assert_eq!(BTreeSet::from_iter(by_seed), both);
    let mut seen = BTreeSet::new();
    // Chance alone fails here once in 2^60 times.
    for _ in 0..60 {
        seen.insert(chosen(&[]));
        if seen.len() == 2 {
            break;
        }
    }
    assert_eq!(seen, both);
}

#[test]
fn dates_in_names_are_those_of_the_clock_on_the_wall() {
    let mut workflow = json("default.json")["workflow"].clone();
    let nodes = workflow["nodes"].as_array_mut().unwrap();
    nodes.iter_mut().find(|node| node["id"] == 9).unwrap()["widgets_values"] = json!(["%date:yyyy-MM-dd%"]);
    let date = |zone: &str| {
        let mut command = command(&["convert", "--object-info", &data("object_info.json"), "-"]);
        let ended = finish(command.env("TZ", zone).spawn().unwrap(), workflow.to_string().as_bytes());
        ended.document()["9"]["inputs"]["filename_prefix"].as_str().unwrap().to_owned()
    };
    // A whole day apart: whatever the time, it is not the same date.
    let (east, west) = (date("EAST-12"), date("WEST12"));
    assert!(east > west && east.len() == 10 && !east.contains('%'), "{east} {west}");
}

#[test]
fn a_wrong_command_line_ends_with_2() {
    let info = data("object_info.json");
    for (arguments, wanted) in [
        (&["convert"][..], "<WORKFLOW>"),
        (&["convert", "--interface", "1.40", "-"], "known are 1.35 and 1.58"),
        (&["convert", "--backend", "h", "-"], "http://HOST:PORT"),
        (&["convert", "--backend", "http://h", "--object-info", &info, "-"], "cannot be used with"),
        (&["convert", "--object-info", "-", "-"], "not both"),
        (&["convert", "--seed", "many", "-"], "--seed"),
    ] {
        run_with(arguments, "").fails(2, &[wanted]);
    }
}
