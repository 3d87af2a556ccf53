//! Pictures written as ComfyUI writes them (`saved/make.py` made them) give their documents; whatever else comes, gives an
//! error that says what is wrong.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "tests: whatever goes wrong in the functions beside them fails the test"
)]

use std::io::Write;

use comfyui::saved::{Saved, SavedError, read};
use flate2::Compression;
use flate2::write::ZlibEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

const SAVE_IMAGE: &[u8] = include_bytes!("saved/save_image.png");
const COMPRESSED: &[u8] = include_bytes!("saved/compressed.png");
const INTERNATIONAL: &[u8] = include_bytes!("saved/international.png");
const ANIMATED_PNG: &[u8] = include_bytes!("saved/save_animated.png");
const PROMPT_ALONE: &[u8] = include_bytes!("saved/prompt_alone.png");
const STRIPPED_PNG: &[u8] = include_bytes!("saved/stripped.png");
const ANIMATED_WEBP: &[u8] = include_bytes!("saved/save_animated.webp");
const STILL_WEBP: &[u8] = include_bytes!("saved/still.webp");
const STRIPPED_WEBP: &[u8] = include_bytes!("saved/stripped.webp");

const WITH_BOTH: [&[u8]; 6] =
    [SAVE_IMAGE, COMPRESSED, INTERNATIONAL, ANIMATED_PNG, ANIMATED_WEBP, STILL_WEBP];

fn prompt() -> Value {
    json!({
        "3": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 16_711_680},
              "is_changed": [null]},
        "9": {"class_type": "SaveImage", "inputs": {"filename_prefix": "Größe 猫", "images": ["3", 0]}},
    })
}

fn workflow() -> Value {
    json!({"version": 0.4, "last_node_id": 9, "nodes": [{"id": 3, "type": "EmptyImage", "title": "Größe 猫"}],
           "links": []})
}

fn both() -> Saved {
    Saved { workflow: Some(workflow()), prompt: Some(prompt()) }
}

fn read_json(document: &Value) -> Result<Saved, SavedError> {
    read(document.to_string().as_bytes())
}

fn refusal(bytes: &[u8]) -> String {
    read(bytes).unwrap_err().to_string()
}

fn png(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    for (kind, data) in chunks {
        file.extend((data.len() as u32).to_be_bytes());
        file.extend(*kind);
        file.extend(data);
        file.extend([0; 4]);
    }
    file
}

fn exif(tags: &[&str]) -> Vec<u8> {
    let mut tiff = b"II*\0\x08\0\0\0".to_vec();
    tiff.extend((tags.len() as u16).to_le_bytes());
    let mut value_at = 10 + 12 * tags.len() + 4;
    for tag in tags {
        tiff.extend(0x010f_u16.to_le_bytes());
        tiff.extend(2_u16.to_le_bytes());
        tiff.extend((tag.len() as u32).to_le_bytes());
        tiff.extend((value_at as u32).to_le_bytes());
        value_at += tag.len();
    }
    tiff.extend([0; 4]);
    tiff.extend(tags.concat().bytes());
    tiff
}

fn webp(chunks: &[(&[u8; 4], Vec<u8>)]) -> Vec<u8> {
    let mut file = b"RIFF\0\0\0\0WEBP".to_vec();
    for (kind, data) in chunks {
        file.extend(*kind);
        file.extend((data.len() as u32).to_le_bytes());
        file.extend(data);
        file.extend(vec![0; data.len() % 2]);
    }
    file
}

#[test]
fn every_way_in_which_comfyui_saves_a_picture_gives_both_documents() {
    for file in WITH_BOTH {
        assert_eq!(read(file).unwrap(), both());
    }
}

#[test]
fn a_picture_of_a_script_has_a_prompt_alone() {
    assert_eq!(read(PROMPT_ALONE).unwrap(), Saved { workflow: None, prompt: Some(prompt()) });
}

#[test]
fn a_png_cut_off_in_its_pixels_still_has_its_documents() {
    let pixels = SAVE_IMAGE.windows(4).position(|window| window == b"IDAT").unwrap();
    assert_eq!(read(&SAVE_IMAGE[..pixels + 6]).unwrap(), both());
}

#[test]
fn a_picture_without_documents_is_told_so() {
    for (file, kind) in [(STRIPPED_PNG, "PNG"), (STRIPPED_WEBP, "WebP"), (&SAVE_IMAGE[..40], "PNG")] {
        let told = refusal(file);
        assert!(told.starts_with(&format!("a {kind} without a workflow or prompt")), "{told}");
    }
}

#[test]
fn what_is_neither_picture_nor_json_is_told_so() {
    for file in [&b""[..], b"GIF89a", b"hello", b"\x89PNG", b"RIFF\0\0\0\0WAVEfmt ", b"\"text\"", b"17"] {
        assert!(matches!(read(file), Err(SavedError::Unknown)), "{file:?}");
    }
    assert!(matches!(read(b"{\"nodes\": ["), Err(SavedError::NotJson(_))));
}

#[test]
fn a_damaged_document_is_named_and_does_not_cost_the_other() {
    let text = |text: &str| text.as_bytes().to_vec();
    let damaged = (b"tEXt", text("workflow\0{\"nodes\": ["));
    assert!(
        refusal(&png(std::slice::from_ref(&damaged))).starts_with("the workflow in this PNG is no JSON: EOF")
    );

    let sound = (b"tEXt", text(r#"prompt {"1": {"class_type": "A"}}"#.replacen(' ', "\0", 1).as_str()));
    let saved = read(&png(&[sound, damaged])).unwrap();
    assert_eq!(saved, Saved { workflow: None, prompt: Some(json!({"1": {"class_type": "A"}})) });

    let description = (b"tEXt", text("prompt\0\"a cat\""));
    assert!(refusal(&png(&[description])).contains("the prompt in this PNG is no object"));
    let garbled = (b"zTXt", text("workflow\0\0no zlib"));
    assert!(refusal(&png(&[garbled])).contains("the compressed workflow in this PNG cannot be inflated"));
}

#[test]
fn a_text_that_inflates_without_end_is_cut_short() {
    let mut encoder = ZlibEncoder::new(b"workflow\0\0".to_vec(), Compression::fast());
    let spaces = vec![b' '; 1 << 20];
    for _ in 0..17 {
        encoder.write_all(&spaces).unwrap();
    }
    let told = refusal(&png(&[(b"zTXt", encoder.finish().unwrap())]));
    assert_eq!(told, "the workflow in this PNG is longer than 16777216 bytes");
}

#[test]
fn a_picture_of_very_many_documents_is_not_read_to_its_end() {
    let workflow = |id: usize| (b"tEXt", format!("workflow\0{{\"nodes\": [{id}]}}").into_bytes());
    let saved = read(&png(&(0..1000).map(workflow).collect::<Vec<_>>())).unwrap();
    assert_eq!(saved.workflow, Some(json!({"nodes": [3]})));
}

#[test]
fn texts_in_latin_1_are_read_as_such() {
    let saved = read(&png(&[(b"tEXt", b"workflow\0{\"nodes\": [\"Gr\xf6\xdfe\"]}".to_vec())])).unwrap();
    assert_eq!(saved.workflow, Some(json!({"nodes": ["Größe"]})));
}

#[test]
fn any_tag_of_a_webp_may_hold_a_document_in_either_case_with_or_without_the_marker_of_jpeg() {
    let tags = exif(&["Canon\0", "Workflow:{\"nodes\": []}\0", "PROMPT:{\"1\": {\"class_type\": \"A\"}}\0"]);
    let expected =
        Saved { workflow: Some(json!({"nodes": []})), prompt: Some(json!({"1": {"class_type": "A"}})) };
    let marked = [b"Exif\0\0", tags.as_slice()].concat();
    for data in [tags, marked] {
        assert_eq!(read(&webp(&[(b"VP8 ", vec![1, 2, 3]), (b"EXIF", data)])).unwrap(), expected);
    }
}

#[test]
fn json_is_told_by_what_it_holds() {
    let (workflow, prompt) = (workflow(), prompt());
    let workflow_alone = Saved { workflow: Some(workflow.clone()), prompt: None };
    let prompt_alone = Saved { workflow: None, prompt: Some(prompt.clone()) };
    let extra = json!({"extra_pnginfo": {"workflow": workflow}, "client_id": "c"});
    let entry = json!({"prompt": [7, "id", prompt, extra, ["9"]], "outputs": {}, "status": {}});
    for (document, expected) in [
        (workflow.clone(), &workflow_alone),
        (prompt.clone(), &prompt_alone),
        (json!({"prompt": prompt}), &prompt_alone),
        (json!({"prompt": prompt, "client_id": "c"}), &prompt_alone),
        (json!({"workflow": workflow}), &workflow_alone),
        (json!({"prompt": prompt, "workflow": workflow}), &both()),
        (json!({"prompt": prompt, "extra_data": extra}), &both()),
        (entry.clone(), &both()),
        (json!({"0c1d": entry}), &both()),
    ] {
        assert_eq!(&read_json(&document).unwrap(), expected, "{document}");
    }
}

#[test]
fn json_of_another_kind_is_told_so() {
    for document in [json!({}), json!([]), json!({"a": 1}), json!({"nodes": {}}), json!({"prompt": "a cat"})]
    {
        assert!(matches!(read_json(&document), Err(SavedError::Unrecognized)), "{document}");
    }
}

#[test]
fn json_may_begin_with_a_byte_order_mark_and_hold_words_of_python() {
    let saved = read(b"\xef\xbb\xbf \n{\"1\": {\"class_type\": \"A\", \"is_changed\": [NaN]}}").unwrap();
    assert_eq!(saved.prompt, Some(json!({"1": {"class_type": "A", "is_changed": [null]}})));
}

#[test]
fn a_directory_of_65535_tags_that_are_one_long_text_is_read_at_once() {
    let text = format!("{}\0", "x".repeat(4 << 20));
    let mut data = exif(&vec![""; 65_535]);
    let value_at = data.len() as u32;
    data.extend(text.as_bytes());
    for entry in 0..65_535 {
        let at = 10 + 12 * entry;
        data[at + 4..at + 8].copy_from_slice(&(text.len() as u32).to_le_bytes());
        data[at + 8..at + 12].copy_from_slice(&value_at.to_le_bytes());
    }
    assert!(matches!(read(&webp(&[(b"EXIF", data)])), Err(SavedError::Missing(_))));
}

/// A whole file with bytes overwritten, removed and put in.
fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let edits = prop::collection::vec((any::<prop::sample::Index>(), 0..3_u8, any::<u8>()), 1..20);
    (prop::sample::select(WITH_BOTH.to_vec()), edits, any::<prop::sample::Index>()).prop_map(
        |(file, edits, end)| {
            let mut bytes = file.to_vec();
            for (index, edit, byte) in edits {
                let at = index.index(bytes.len());
                match edit {
                    0 => bytes[at] = byte,
                    1 => drop(bytes.remove(at)),
                    _ => bytes.insert(at, byte),
                }
            }
            bytes.truncate(bytes.len() - end.index(bytes.len()) / 4);
            bytes
        },
    )
}

proptest! {
    #[test]
    fn damaged_pictures_give_documents_or_errors_and_never_panic(bytes in mutated()) {
        if let Ok(saved) = read(&bytes) {
            prop_assert!(saved.workflow.is_some() || saved.prompt.is_some());
        }
    }

    #[test]
    fn noise_behind_a_signature_never_panics(
        signature in prop::sample::select(vec![&b"\x89PNG\r\n\x1a\n"[..], b"RIFF\0\0\0\0WEBPEXIF", b"{", b""]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        if let Ok(saved) = read(&[signature, &noise].concat()) {
            prop_assert!(saved.workflow.is_some() || saved.prompt.is_some());
        }
    }

    #[test]
    fn noise_in_a_tiff_directory_never_panics(
        order in prop::sample::select(vec![&b"II*\0\x08\0\0\0"[..], b"MM\0*\0\0\0\x08"]),
        noise in prop::collection::vec(any::<u8>(), 0..300),
    ) {
        let file = webp(&[(b"EXIF", [order, &noise].concat())]);
        prop_assert!(read(&file).is_err(), "noise held a document");
    }
}
