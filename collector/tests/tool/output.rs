//! Where results go.

use std::fs;
use std::io::Write;

use serde_json::Value;

use super::program::{command, data, finish, json, known, run_with, text};

#[test]
fn a_file_gets_the_whole_prompt_or_stays_as_it_was() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("prompt.json");
    let (good, bad) = (json("default.json"), json("unknown_classes.json"));
    let ended = known("convert", &["-o", text(&file), "-"], good["workflow"].to_string());
    assert_eq!((ended.code, ended.out.as_str(), ended.said.as_str()), (0, "", ""));
    let written: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!(written, good["prompt"]);
    known("convert", &["-o", text(&file), "-"], bad["workflow"].to_string()).fails(1, &["SaveAudioMP3"]);
    assert_eq!(serde_json::from_slice::<Value>(&fs::read(&file).unwrap()).unwrap(), good["prompt"]);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    let missing = directory.path().join("missing/prompt.json");
    known("convert", &["-o", text(&missing), "-"], good["workflow"].to_string())
        .fails(1, &["cannot write", text(&missing)]);
}

#[test]
fn a_document_is_the_same_text_each_time_and_ends_with_a_line_break() {
    let workflow = json("subgraph.json")["workflow"].to_string();
    let texts = [(); 3].map(|()| known("convert", &["-"], &workflow).out);
    assert!(texts.iter().all(|text| *text == texts[0]) && texts[0].ends_with("}\n"), "{texts:?}");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let workflow = json("default.json")["workflow"].to_string();
    let info = data("object_info.json");
    for arguments in [&["convert"][..], &["inspect"], &["inspect", "--json"]] {
        let arguments = [arguments, &["--object-info", &info, "-"]].concat();
        let mut child = command(&arguments).spawn().unwrap();
        // Before it has its input, it has written nothing.
        drop(child.stdout.take());
        let ended = finish(child, workflow.as_bytes());
        assert_eq!((ended.code, ended.said.as_str()), (0, ""), "{arguments:?}");
    }
}

#[test]
fn input_without_end_is_refused_at_a_bound() {
    let arguments = ["convert", "--object-info", &data("object_info.json"), "-"];
    let mut child = command(&arguments).spawn().unwrap();
    let mut input = child.stdin.take().unwrap();
    let spaces = vec![b' '; 1 << 20];
    let mebibytes = (0..1000).take_while(|_| input.write_all(&spaces).is_ok()).count();
    child.stdin = Some(input);
    finish(child, b"").fails(1, &["standard input is longer than 64 MiB"]);
    assert!(mebibytes < 100, "{mebibytes}");
}

#[test]
fn names_in_a_document_cannot_command_a_terminal() {
    let prompt = r#"{"1": {"class_type": "A\u001b[2J", "inputs": {}}}"#;
    let told = run_with(&["inspect", "-"], prompt);
    assert!(told.code == 0 && told.out.contains("A\\u{1b}[2J"), "{}", told.out);
}

#[test]
fn completions_know_the_commands_and_their_flags() {
    for shell in ["bash", "zsh", "fish"] {
        let script = run_with(&["completions", shell], "").out;
        for word in ["convert", "validate", "inspect", "object-info", "interface"] {
            assert!(script.contains(word), "{word} in {shell}");
        }
    }
}

#[test]
fn each_command_explains_itself_with_examples() {
    for command in ["convert", "validate", "inspect"] {
        let help = run_with(&[command, "--help"], "");
        let example = format!("\n  orchestrator-collector {command} ");
        assert!(help.code == 0 && help.out.contains(&example), "{}", help.out);
    }
}
