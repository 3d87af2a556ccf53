//! Frames that no recording holds: other events, malformed ones, and fields that may be missing.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use bytes::Bytes;
use comfyui::message::{FrameError, ImageType, Preview, PreviewMetadata, Text};
use comfyui::{Frame, Message, Prompt};
use serde_json::{Value, json};

fn message(document: Value) -> Message {
    Message::from_text(&document.to_string()).unwrap()
}

fn again(message: &Message) -> Value {
    serde_json::from_str(&message.to_text()).unwrap()
}

#[test]
fn a_message_of_an_unknown_type_is_passed_on_and_its_prompt_is_changed() {
    let document = json!({"type": "custom.thing", "data": {"prompt_id": "a", "x": [1, null]}});
    let mut custom = message(document.clone());
    assert_eq!((custom.kind(), custom.prompt_id()), ("custom.thing", Some("a")));
    assert_eq!(again(&custom), document);
    custom.set_prompt_id("b");
    assert_eq!(again(&custom)["data"]["prompt_id"], "b");
}

#[test]
fn a_message_of_an_unknown_type_gains_no_prompt() {
    for data in [json!([1]), json!("x"), json!({"prompt_id": 7}), json!({})] {
        let document = json!({"type": "custom", "data": data});
        let mut custom = message(document.clone());
        custom.set_prompt_id("b");
        assert_eq!((again(&custom), custom.prompt_id()), (document, None));
    }
}

#[test]
fn a_known_type_in_an_unknown_shape_is_passed_on() {
    let document = json!({"type": "progress", "data": {"value": "half", "prompt_id": "a"}});
    let odd = message(document.clone());
    assert!(matches!(odd, Message::Other { .. }));
    assert_eq!((odd.prompt_id(), again(&odd)), (Some("a"), document));
}

#[test]
fn executing_nothing_ends_a_prompt_with_or_without_a_display_node() {
    for data in [
        json!({"node": null, "prompt_id": "a"}),
        json!({"node": null, "display_node": null, "prompt_id": "a"}),
    ] {
        let Message::Executing(executing) = message(json!({"type": "executing", "data": data})) else {
            panic!()
        };
        assert_eq!((executing.node, executing.prompt_id.as_deref()), (None, Some("a")));
    }
}

#[test]
fn what_is_no_message_is_refused() {
    for text in ["", "{", "[]", "7", r#"{"data": {}}"#, r#"{"type": 1}"#] {
        assert!(matches!(Frame::from_text(text), Err(FrameError::NotAMessage(_))), "{text}");
    }
}

#[test]
fn a_fraction_stays_between_nothing_and_all() {
    for (value, max, expected) in
        [(json!(1), json!(4), Some(0.25)), (json!(5.0), json!(4.0), Some(1.0)), (json!(1), json!(0), None)]
    {
        let data = json!({"value": value, "max": max});
        let Message::Progress(progress) = message(json!({"type": "progress", "data": data})) else {
            panic!()
        };
        assert_eq!(progress.fraction(), expected);
    }
}

#[test]
fn memory_running_out_is_known_by_the_type_or_the_words() {
    for (kind, words, expected) in [
        ("torch.OutOfMemoryError", "", true),
        ("torch.cuda.OutOfMemoryError", "", true),
        ("RuntimeError", "CUDA error: Out of Memory", true),
        ("ValueError", "no", false),
    ] {
        let data = json!({"exception_type": kind, "exception_message": words});
        let Message::ExecutionError(error) = message(json!({"type": "execution_error", "data": data})) else {
            panic!()
        };
        assert_eq!(error.is_out_of_memory(), expected, "{kind}");
    }
}

#[test]
fn previews_of_every_kind_survive_a_round_trip() {
    let image = Bytes::from_static(b"picture");
    let metadata = PreviewMetadata {
        prompt_id: Some("a".into()),
        image_type: Some("image/png".into()),
        ..PreviewMetadata::default()
    };
    for image_type in [ImageType::Jpeg, ImageType::Png, ImageType::Other(9)] {
        let preview = Preview { image_type, image: image.clone(), metadata: None };
        assert_eq!(Frame::from_binary(preview.to_binary(true)).unwrap(), Frame::Preview(preview));
    }
    let preview = Preview { image_type: ImageType::Png, image, metadata: Some(metadata) };
    assert_eq!(Frame::from_binary(preview.to_binary(true)).unwrap(), Frame::Preview(preview.clone()));
    let bare = Frame::Preview(Preview { metadata: None, ..preview.clone() });
    assert_eq!(Frame::from_binary(preview.to_binary(false)).unwrap(), bare);
}

#[test]
fn a_previews_prompt_is_changed_where_it_is_named() {
    let bare = Preview { image_type: ImageType::Jpeg, image: Bytes::new(), metadata: None };
    let mut named = Frame::Preview(Preview { metadata: Some(PreviewMetadata::default()), ..bare.clone() });
    named.set_prompt_id("b");
    assert_eq!(named.prompt_id(), Some("b"));
    let mut bare = Frame::Preview(bare);
    bare.set_prompt_id("b");
    assert_eq!(bare.prompt_id(), None);
}

#[test]
fn a_nodes_text_survives_a_round_trip() {
    let text = Text { node_id: "12".into(), text: "fünf".into() };
    let frame = text.to_binary();
    assert_eq!(frame, "\0\0\0\x03\0\0\0\x0212fünf".as_bytes());
    assert_eq!(Frame::from_binary(frame).unwrap(), Frame::Text(text));
}

#[test]
fn a_binary_frame_of_unknown_form_is_passed_on_whole() {
    for bytes in
        [&b"\0\0\0\x02internal"[..], b"\0\0\0\x63", b"\0\0\0\x03\0\0\0\xff12", b"\0\0\0\x03\0\0\0\x01\xff"]
    {
        assert_eq!(
            Frame::from_binary(Bytes::from_static(bytes)).unwrap(),
            Frame::Other(Bytes::from_static(bytes))
        );
    }
}

#[test]
fn a_binary_frame_that_ends_too_early_is_refused() {
    for bytes in [
        &b""[..],
        b"\0\0\0",
        b"\0\0\0\x01",
        b"\0\0\0\x01\0\0\0",
        b"\0\0\0\x04\0\0\0\x09{}",
        b"\0\0\0\x04\xff\xff\xff\xff",
    ] {
        let refused = Frame::from_binary(Bytes::from_static(bytes));
        assert!(
            matches!(refused, Err(FrameError::Truncated { bytes: whole }) if whole == bytes.len()),
            "{refused:?}"
        );
    }
    let refused = Frame::from_binary(Bytes::from_static(b"\0\0\0\x04\0\0\0\x02[]image"));
    assert!(matches!(refused, Err(FrameError::Metadata(_))), "{refused:?}");
}

/// Steps of 0.05 as interfaces count them. Read as serde_json does by default, they end at 0.95 and 1.15.
#[test]
fn numbers_that_need_all_their_digits_keep_them() {
    for number in ["0.9500000000000001", "1.1500000000000001", "3.8000000000000003"] {
        let text = format!(r#"{{"type":"custom","data":{{"cfg":[{number}]}}}}"#);
        assert_eq!(Message::from_text(&text).unwrap().to_text(), text);
        let text = format!(r#"{{"1":{{"class_type":"A","inputs":{{"cfg":{number}}}}}}}"#);
        let prompt: Prompt = comfyui::from_slice(text.as_bytes()).unwrap();
        assert_eq!(serde_json::to_string(&prompt).unwrap(), text);
    }
}
