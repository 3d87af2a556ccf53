//! Every document and frame recorded with real servers is read and written again as the same JSON.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use bytes::Bytes;
use comfyui::api::{
    Features, FreeRequest, History, Job, Jobs, PromptAccepted, PromptRejected, PromptRequest, QueueRemaining,
    QueueState, SystemStats, UploadAnswer, Users,
};
use comfyui::message::ImageType;
use comfyui::{Frame, Message, ObjectInfo, Prompt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

const GENERATIONS: [(&str, &str); 2] = [
    ("0.8.0", include_str!("transcripts/0.8.0.json")),
    ("2024-03", include_str!("transcripts/2024-03.json")),
];

fn transcripts() -> impl Iterator<Item = (&'static str, Value)> {
    GENERATIONS.into_iter().map(|(name, text)| (name, serde_json::from_str(text).unwrap()))
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The same document after reading it as a `T`.
fn through<T: Serialize + DeserializeOwned>(document: &Value) -> Value {
    let read: T =
        serde_json::from_str(&document.to_string()).unwrap_or_else(|error| panic!("{error}: {document}"));
    serde_json::to_value(&read).unwrap()
}

/// The answer as its type reads it; `None` for documents that have no type.
fn typed(method: &str, route: &str, status: u64, answer: &Value) -> Option<Value> {
    Some(match (method, route, status) {
        ("GET", "system_stats", 200) => through::<SystemStats>(answer),
        ("GET", "prompt", 200) => through::<QueueRemaining>(answer),
        ("GET", "queue", 200) => through::<QueueState>(answer),
        ("GET", "history", 200) => through::<History>(answer),
        ("GET", "object_info", 200) => through::<ObjectInfo>(answer),
        ("GET", "embeddings" | "models", 200) => through::<Vec<String>>(answer),
        ("POST", "prompt", 200) => through::<PromptAccepted>(answer),
        ("POST", "prompt", 400) => through::<PromptRejected>(answer),
        ("POST", "upload", 200) => through::<UploadAnswer>(answer),
        ("GET", "jobs", 200) if answer.get("jobs").is_some() => through::<Jobs>(answer),
        ("GET", "jobs", 200) => through::<Job>(answer),
        ("GET", "features", 200) => through::<Features>(answer),
        ("GET", "users", 200) => through::<Users>(answer),
        ("GET", "settings", 200) => through::<Map<String, Value>>(answer),
        // What a refusal of these says is told as text.
        ("GET", "jobs", 400..) => answer.clone(),
        _ => return None,
    })
}

fn route(path: &str) -> &str {
    let path = path.strip_prefix("/api/").unwrap_or(path).trim_start_matches('/');
    path.split(['/', '?']).next().unwrap()
}

#[test]
fn every_recorded_answer_comes_out_as_it_went_in() {
    for (generation, transcript) in transcripts() {
        let mut untyped = Vec::new();
        for call in list(&transcript["http"]) {
            let (request, response) = (&call["request"], &call["response"]);
            let Some(answer) = response.get("json") else { continue };
            let route = route(request["path"].as_str().unwrap());
            let status = response["status"].as_u64().unwrap();
            match typed(request["method"].as_str().unwrap(), route, status, answer) {
                Some(again) => assert_eq!(&again, answer, "{generation} {}", call["name"]),
                None => untyped.push(route),
            }
        }
        assert_eq!(untyped, Vec::<&str>::new(), "{generation}");
    }
}

#[test]
fn every_recorded_body_comes_out_as_it_went_in() {
    for (generation, transcript) in transcripts() {
        let mut prompts = 0;
        for call in list(&transcript["http"]) {
            let Some(body) = call["request"].get("json") else { continue };
            match route(call["request"]["path"].as_str().unwrap()) {
                "prompt" if body.get("prompt").is_some() => {
                    assert_eq!(&through::<PromptRequest>(body), body);
                    if list_of_classes(&body["prompt"]) {
                        assert_eq!(through::<Prompt>(&body["prompt"]), body["prompt"]);
                    }
                    prompts += 1;
                }
                "free" => assert_eq!(through::<FreeRequest>(body), free_in_full(body)),
                _ => {}
            }
        }
        assert!(prompts > 15, "{generation} has {prompts} prompts");
    }
}

/// One recorded prompt breaks the rule that every node names its class.
fn list_of_classes(prompt: &Value) -> bool {
    prompt.as_object().unwrap().values().all(|node| node.get("class_type").is_some())
}

fn free_in_full(body: &Value) -> Value {
    let flag = |name| body.get(name).cloned().unwrap_or(json!(false));
    json!({"unload_models": flag("unload_models"), "free_memory": flag("free_memory")})
}

#[test]
fn the_recorded_node_classes_come_out_as_they_went_in() {
    for (_, transcript) in transcripts() {
        let classes = &transcript["object_info_of_test_nodes"];
        assert_eq!(&through::<ObjectInfo>(classes), classes);
        let info: ObjectInfo = serde_json::from_value(classes.clone()).unwrap();
        let models = info.0["SimLoader"].input.required["ckpt_name"].combo().unwrap();
        assert!(models.contains(&json!("sd15.safetensors")));
    }
}

#[test]
fn a_refusal_of_any_generation_says_what_is_wrong() {
    for (generation, transcript) in transcripts() {
        let call =
            list(&transcript["http"]).iter().find(|call| call["name"] == "prompt: empty object").unwrap();
        let rejected: PromptRejected = serde_json::from_value(call["response"]["json"].clone()).unwrap();
        let expected = match generation {
            "0.8.0" => (Some("no_prompt"), "No prompt provided"),
            _ => (None, "no prompt"),
        };
        assert_eq!((rejected.kind(), rejected.message()), expected);
    }
}

/// All text frames of all runs, those of bystanders and those that histories keep included.
fn messages(transcript: &Value) -> Vec<Value> {
    let runs = transcript["ws"].as_object().unwrap().values();
    let frames =
        runs.flat_map(|run| list(&run["frames"]).iter().chain(list(&run["frames_of_another_client"])));
    let sent = frames.filter_map(|frame| frame.get("text").cloned());
    let answers = list(&transcript["http"]).iter().filter_map(|call| call["response"]["json"].as_object());
    let entries = answers.flat_map(|answer| answer.values()).filter_map(|entry| entry.get("status"));
    let kept = entries.filter_map(|status| status.get("messages")).flat_map(list);
    sent.chain(kept.map(|message| json!({"type": message[0], "data": message[1]}))).collect()
}

#[test]
fn every_recorded_message_is_known_and_comes_out_as_it_went_in() {
    for (generation, transcript) in transcripts() {
        let messages = messages(&transcript);
        assert!(messages.len() > 100, "{generation} has {} messages", messages.len());
        for recorded in messages {
            let Frame::Message(message) = Frame::from_text(&recorded.to_string()).unwrap() else {
                unreachable!()
            };
            assert!(!matches!(message, Message::Other { .. }), "{generation}: {recorded}");
            assert_eq!(message.kind(), recorded["type"]);
            assert_eq!(serde_json::from_str::<Value>(&message.to_text()).unwrap(), recorded);
        }
    }
}

#[test]
fn a_message_about_another_prompt_says_nothing_of_the_first() {
    for (_, transcript) in transcripts() {
        for recorded in messages(&transcript) {
            let mut message = Message::from_text(&recorded.to_string()).unwrap();
            let Some(first) = message.prompt_id().map(str::to_owned) else {
                assert!(["status", "feature_flags"].contains(&message.kind()), "{recorded}");
                continue;
            };
            message.set_prompt_id("another");
            assert_eq!(message.prompt_id(), Some("another"));
            assert!(!message.to_text().contains(&first), "{}", message.to_text());
            message.set_prompt_id(&first);
            assert_eq!(serde_json::from_str::<Value>(&message.to_text()).unwrap(), recorded);
        }
    }
}

#[test]
fn the_recorded_failures_are_told_apart() {
    for (generation, transcript) in transcripts() {
        let out_of_memory = |run: &str| {
            let frames = list(&transcript["ws"][run]["frames"]).iter().filter_map(|frame| frame.get("text"));
            let mut errors = frames.filter_map(|text| match Message::from_text(&text.to_string()).unwrap() {
                Message::ExecutionError(error) => Some(error.is_out_of_memory()),
                _ => None,
            });
            errors.next().unwrap()
        };
        assert!(out_of_memory("out of memory"), "{generation}");
        assert!(!out_of_memory("execution error"), "{generation}");
    }
}

fn bytes_of(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

fn binary_frames(transcript: &Value) -> Vec<Value> {
    let runs = transcript["ws"].as_object().unwrap().values();
    runs.flat_map(|run| list(&run["frames"])).filter_map(|frame| frame.get("binary").cloned()).collect()
}

/// What Python makes of a document without strings that hold separators.
fn as_python_writes(document: &Value) -> String {
    document.to_string().replace("\":", "\": ").replace(",\"", ", \"")
}

#[test]
fn the_recorded_heads_of_previews_are_read_and_written_alike() {
    for (generation, transcript) in transcripts() {
        let previews = binary_frames(&transcript);
        assert!(previews.len() > 10, "{generation} has {} previews", previews.len());
        for recorded in previews {
            let head = bytes_of(recorded["head_hex"].as_str().unwrap());
            match recorded["event"].as_u64().unwrap() {
                1 => a_plain_preview_comes_out_as_it_went_in(head),
                4 => a_preview_with_metadata_comes_out_as_it_went_in(&head, &recorded["metadata"]),
                other => panic!("event {other}"),
            }
        }
    }
}

fn a_plain_preview_comes_out_as_it_went_in(head: Vec<u8>) {
    let head = Bytes::from(head);
    let Frame::Preview(preview) = Frame::from_binary(head.clone()).unwrap() else { panic!("no preview") };
    assert_eq!((preview.image_type, preview.metadata.as_ref()), (ImageType::Jpeg, None));
    assert!(preview.image.starts_with(&[0xff, 0xd8]));
    assert_eq!(preview.to_binary(true), head);
}

fn a_preview_with_metadata_comes_out_as_it_went_in(head: &[u8], metadata: &Value) {
    let json = as_python_writes(metadata);
    let length = u32::try_from(json.len()).unwrap().to_be_bytes();
    let frame = [&4_u32.to_be_bytes(), &length, json.as_bytes(), &[0xff, 0xd8, 7]].concat();
    assert!(frame.starts_with(head));

    let Frame::Preview(preview) = Frame::from_binary(frame.into()).unwrap() else { panic!("no preview") };
    assert_eq!((preview.image_type, &preview.image[..]), (ImageType::Jpeg, &[0xff, 0xd8, 7][..]));
    assert_eq!(serde_json::to_value(&preview.metadata).unwrap(), *metadata);
    assert_eq!(Frame::from_binary(preview.to_binary(true)).unwrap(), Frame::Preview(preview.clone()));
    assert_eq!(preview.to_binary(false), [&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8, 7][..]].concat());
}
