//! What a job's outputs come to in a list: how many there are, and which one stands for all. The rules are those of
//! ComfyUI 0.38's `/api/jobs`. Pure.

use serde_json::{Map, Value, json};

/// Kinds of outputs that the web interface can show.
const SHOWABLE: [&str; 5] = ["images", "video", "audio", "3d", "text"];
const MODEL_EXTENSIONS: [&str; 5] = [".obj", ".fbx", ".gltf", ".glb", ".usdz"];
const TEXT_EXTENSIONS: [&str; 3] = [".txt", ".md", ".json"];
/// A longer text is cut in a preview.
const PREVIEW_CHARS: usize = 1024;

/// A list of outputs in brief.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Brief {
    pub count: u64,
    /// Those that the web interface can show.
    pub previewable_count: u64,
    /// `{filename, subfolder, type, nodeId, mediaType}`, or `{content, nodeId, mediaType}` of a text.
    pub preview: Option<Map<String, Value>>,
}

/// The first of each rank; a lower rank is preferred, wherever it stands.
#[derive(Default)]
struct Candidates([Option<Map<String, Value>>; 4]);

#[derive(Clone, Copy)]
enum Rank {
    Kept,
    Shown,
    TextFile,
    Text,
}

impl Candidates {
    fn offer(&mut self, rank: Rank, make: impl FnOnce() -> Map<String, Value>) {
        if let Some(place @ None) = self.0.get_mut(rank as usize) {
            *place = Some(make());
        }
    }
}

pub(super) fn brief(outputs: &Map<String, Value>) -> Brief {
    let (mut brief, mut candidates) = (Brief::default(), Candidates::default());
    for (node, media, item) in items(outputs) {
        let Some(file) = file(item) else {
            if media == "text" {
                candidates.offer(Rank::Text, || text_preview(item, node));
            }
            continue;
        };
        brief.count += 1;
        if let Some(rank) = rank(media, &file) {
            brief.previewable_count += 1;
            candidates.offer(rank, || marked(file, node, media));
        }
    }
    brief.preview = candidates.0.into_iter().flatten().next();
    brief
}

/// Outputs with 3D files that a node named by a bare text written out as files, and without nulls.
pub fn normalized(outputs: &Map<String, Value>) -> Map<String, Value> {
    let mut outputs = outputs.clone();
    let lists = outputs.values_mut().filter_map(Value::as_object_mut).flatten();
    for list in lists.filter(|(media, _)| *media != "animated").filter_map(|(_, list)| list.as_array_mut()) {
        list.retain(|item| !item.is_null());
        for item in list.iter_mut().filter(|item| item.is_string()) {
            if let Some(file) = file(item) {
                *item = Value::Object(file);
            }
        }
    }
    outputs
}

/// Node, kind and item of everything in a list; `animated` is a flag.
fn items(outputs: &Map<String, Value>) -> impl Iterator<Item = (&str, &str, &Value)> {
    let nodes = outputs.iter().filter_map(|(node, shown)| Some((node.as_str(), shown.as_object()?)));
    let lists = nodes.flat_map(|(node, shown)| {
        let lists = shown.iter().filter(|(media, _)| *media != "animated");
        lists.filter_map(move |(media, list)| Some((node, media.as_str(), list.as_array()?)))
    });
    lists.flat_map(|(node, media, list)| list.iter().map(move |item| (node, media, item)))
}

fn file(item: &Value) -> Option<Map<String, Value>> {
    match item {
        Value::Object(fields) => Some(fields.clone()),
        Value::String(name) if ends_with(name, &MODEL_EXTENSIONS) => {
            json!({"filename": name, "type": "output", "subfolder": "", "mediaType": "3d"})
                .as_object()
                .cloned()
        }
        _ => None,
    }
}

/// `None`: nothing that the web interface could show.
fn rank(media: &str, file: &Map<String, Value>) -> Option<Rank> {
    let text = |key| file.get(key).and_then(Value::as_str).unwrap_or_default();
    let (format, name) = (text("format"), text("filename"));
    let is_text_file = ends_with(name, &TEXT_EXTENSIONS);
    let is_showable = SHOWABLE.contains(&media)
        || format.starts_with("video/")
        || format.starts_with("audio/")
        || ends_with(name, &MODEL_EXTENSIONS)
        || is_text_file;
    is_showable.then_some(match text("type") {
        _ if media == "text" || is_text_file => Rank::TextFile,
        "output" => Rank::Kept,
        _ => Rank::Shown,
    })
}

fn ends_with(name: &str, extensions: &[&str]) -> bool {
    let name = name.to_lowercase();
    extensions.iter().any(|extension| name.ends_with(extension))
}

fn marked(mut file: Map<String, Value>, node: &str, media: &str) -> Map<String, Value> {
    file.insert("nodeId".to_owned(), json!(node));
    file.entry("mediaType").or_insert_with(|| json!(media));
    file
}

fn text_preview(item: &Value, node: &str) -> Map<String, Value> {
    let text = text_of(item);
    let mut preview = Map::new();
    preview.insert("content".to_owned(), json!(text.chars().take(PREVIEW_CHARS).collect::<String>()));
    if text.chars().nth(PREVIEW_CHARS).is_some() {
        preview.insert("truncated".to_owned(), json!(true));
    }
    marked(preview, node, "text")
}

/// A node tells its texts as they are, or each in a tuple, which is a list in JSON.
fn text_of(item: &Value) -> String {
    match item {
        Value::String(text) => text.clone(),
        Value::Array(items) => items.first().map(text_of).unwrap_or_default(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn brief_of(outputs: Value) -> Brief {
        brief(outputs.as_object().unwrap())
    }

    fn preview_of(outputs: Value) -> Value {
        json!(brief_of(outputs).preview)
    }

    #[test]
    fn a_kept_picture_goes_before_one_only_shown_and_both_before_texts_wherever_they_stand() {
        let text = json!(["a poem"]);
        let text_file = json!([{"filename": "a.txt", "subfolder": "", "type": "output"}]);
        let shown = json!([{"filename": "t.png", "subfolder": "", "type": "temp"}]);
        let kept = json!([{"filename": "k.png", "subfolder": "x", "type": "output"}]);
        let all = |kept: &Value, shown: &Value, file: &Value| json!({"1": {"text": text}, "2": {"files": file}, "3": {"images": shown}, "4": {"images": kept, "animated": [false]}});
        let none = json!([]);
        let kept_preview = json!({"filename": "k.png", "subfolder": "x", "type": "output", "nodeId": "4", "mediaType": "images"});
        assert_eq!(preview_of(all(&kept, &shown, &text_file)), kept_preview);
        assert_eq!(preview_of(all(&none, &shown, &text_file))["filename"], "t.png");
        assert_eq!(
            preview_of(all(&none, &none, &text_file)),
            json!({"filename": "a.txt", "subfolder": "", "type": "output", "nodeId": "2", "mediaType": "files"})
        );
        assert_eq!(
            preview_of(all(&none, &none, &none)),
            json!({"content": "a poem", "nodeId": "1", "mediaType": "text"})
        );
        assert_eq!(preview_of(json!({})), Value::Null);
    }

    #[test]
    fn files_are_counted_and_texts_are_not() {
        let brief = brief_of(json!({
            "1": {"text": ["a", "b"], "latents": [{"filename": "l.latent", "type": "output"}]},
            "2": {"images": [{"filename": "a.png"}, null, {"filename": "b.png"}], "animated": [true]},
            "3": {"result": ["mesh/A.GLB", "no file", 7]},
            "4": "nothing of the kind",
        }));
        assert_eq!((brief.count, brief.previewable_count), (4, 3));
    }

    #[test]
    fn what_is_shown_is_told_by_kind_format_or_extension() {
        for (outputs, shown) in [
            (json!({"1": {"gifs": [{"filename": "a.mp4", "format": "video/h264-mp4"}]}}), "gifs"),
            (json!({"1": {"files": [{"filename": "a.Obj"}]}}), "files"),
            (json!({"1": {"result": ["a.glb"]}}), "3d"),
        ] {
            assert_eq!(preview_of(outputs)["mediaType"], shown);
        }
        assert_eq!(preview_of(json!({"1": {"latents": [{"filename": "l.latent"}]}})), Value::Null);
    }

    #[test]
    fn a_long_text_is_cut_and_says_so() {
        let preview = preview_of(json!({"1": {"text": [["ä".repeat(1025)]]}}));
        assert_eq!(preview["content"].as_str().unwrap().chars().count(), 1024);
        assert_eq!(preview["truncated"], true);
    }

    #[test]
    fn a_models_bare_name_becomes_a_file() {
        let outputs = json!({"1": {"result": ["a.glb", null, "text"], "animated": [null]}, "2": 7});
        let file = json!({"filename": "a.glb", "type": "output", "subfolder": "", "mediaType": "3d"});
        let expected = json!({"1": {"result": [file, "text"], "animated": [null]}, "2": 7});
        assert_eq!(json!(normalized(outputs.as_object().unwrap())), expected);
    }
}
