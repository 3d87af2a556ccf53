//! Which texts of a node name files, and of which kind.
//!
//! With `object_info`, a file is what an input lets choose; a text that is typed (a prefix, an address) names none,
//! whatever it ends with. Without, and for inputs that a class does not declare, endings decide.

use serde_json::Value;

use super::{Graph, InputFile};
use crate::api::FileRef;
use crate::object_info::InputSpec;
use crate::prompt::{Node, link};

/// File endings of models: what ComfyUI's own loaders list, and what widespread node packs add to them.
const MODEL_ENDINGS: [&str; 10] =
    [".safetensors", ".sft", ".ckpt", ".pt", ".pt2", ".pth", ".bin", ".pkl", ".gguf", ".onnx"];

/// File endings of what people upload: pictures, films, sounds, shapes, latents.
const UPLOAD_ENDINGS: [&str; 30] = [
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".avif", ".heic", ".exr", ".svg",
    ".mp4", ".webm", ".mov", ".mkv", ".avi", ".m4v", ".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a",
    ".aac", ".glb", ".gltf", ".obj", ".ply", ".latent",
];

/// What a text names.
pub(super) enum Named {
    Model,
    /// In the folder that ` [output]` or ` [temp]` behind the name tells.
    Output(FileRef),
    /// `looks_like_one`: by the input or by the text, it is meant as a file.
    Input {
        file: InputFile,
        looks_like_one: bool,
    },
}

/// What is known of an input.
#[derive(Clone, Copy)]
enum Taken {
    /// It chooses, among model files or other things.
    Choice,
    /// It chooses among files that clients upload.
    Upload,
    /// It takes any text.
    Typed,
    /// Nothing.
    Unknown,
}

impl<'a> Graph<'a> {
    /// (input, text, what it names) of every text of a node.
    pub(super) fn named_files(self, node: &'a Node) -> impl Iterator<Item = (&'a str, &'a str, Named)> {
        node.inputs.iter().filter(|(_, value)| link(value).is_none()).flat_map(move |(input, value)| {
            // An object is a widget of many values, of which the input's type says nothing.
            let spec = self.spec(node, input).filter(|_| !value.is_object());
            let taken = spec.map_or(Taken::Unknown, taken);
            texts(value).into_iter().map(move |text| (input.as_str(), text, named(text, taken)))
        })
    }
}

fn taken(spec: &InputSpec) -> Taken {
    if spec.takes_uploads() {
        Taken::Upload
    } else if spec.kind() == Some("COMBO") {
        Taken::Choice
    } else {
        Taken::Typed
    }
}

fn named(text: &str, taken: Taken) -> Named {
    let (is_model, is_upload) = (ends_with(text, &MODEL_ENDINGS), ends_with(text, &UPLOAD_ENDINGS));
    let is_path = !text.contains("://") && !text.contains('\n');
    let (may_be_model, looks_like_one) = match taken {
        Taken::Choice => (true, is_upload),
        Taken::Upload => (false, true),
        Taken::Typed => (false, false),
        Taken::Unknown => (is_path, is_path && is_upload),
    };
    if is_model && may_be_model {
        return Named::Model;
    }
    match annotated(text) {
        Some(file) if is_path && !matches!(taken, Taken::Typed) => Named::Output(file),
        _ => Named::Input { file: InputFile::named_by(text), looks_like_one },
    }
}

/// `sub/folder/name [output]` and `... [temp]`, as ComfyUI's `annotated_filepath` reads them.
fn annotated(text: &str) -> Option<FileRef> {
    let in_folder = |kind| Some((kind, text.strip_suffix(kind)?));
    let (kind, path) = in_folder(" [output]").or_else(|| in_folder(" [temp]"))?;
    let file = InputFile::named_by(path);
    let kind = kind.trim_matches([' ', '[', ']']).to_owned();
    Some(FileRef { filename: file.name, subfolder: file.subfolder, kind })
}

/// The annotation of the folder `input` set aside.
fn ends_with(text: &str, endings: &[&str]) -> bool {
    let path = text.strip_suffix(" [input]").unwrap_or(text).as_bytes();
    endings.iter().any(|ending| {
        let start = path.len().checked_sub(ending.len());
        start
            .and_then(|start| path.get(start..))
            .is_some_and(|tail| tail.eq_ignore_ascii_case(ending.as_bytes()))
    })
}

/// The texts in a value, at any depth.
fn texts(value: &Value) -> Vec<&str> {
    let (mut texts, mut open) = (Vec::new(), vec![value]);
    while let Some(value) = open.pop() {
        match value {
            Value::String(text) => texts.push(text.as_str()),
            Value::Array(values) => open.extend(values.iter().rev()),
            Value::Object(values) => open.extend(values.values().rev()),
            _ => {}
        }
    }
    texts
}
