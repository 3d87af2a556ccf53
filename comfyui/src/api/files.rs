//! Files on a server: how answers name them and `/view` is asked for them.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A file in one of a server's three folders, as `outputs` name it and `GET /view` takes it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FileRef {
    /// Its name, without folders.
    pub filename: String,
    /// The folder under the one that `kind` names; often empty.
    #[serde(default)]
    pub subfolder: String,
    /// `output`, `input` or `temp`. A server takes a missing one for `output`.
    #[serde(rename = "type", default = "output")]
    pub kind: String,
}

pub(super) fn output() -> String {
    "output".to_owned()
}

/// The files that a node's output names, in its order: every object with a `filename` in any of its lists, whatever
/// the list is called (`images`, `gifs`, `audio`, ...).
///
/// ```
/// let output = serde_json::json!({
///     "images": [{"filename": "a.png", "subfolder": "s", "type": "temp"}], "animated": [false], "text": ["done"],
/// });
/// let files: Vec<_> = comfyui::api::files_of(&output).collect();
/// assert_eq!((files.len(), files[0].filename.as_str(), files[0].kind.as_str()), (1, "a.png", "temp"));
/// ```
pub fn files_of(output: &Value) -> impl Iterator<Item = FileRef> {
    let lists = output.as_object().into_iter().flat_map(|lists| lists.values());
    let items = lists.filter_map(Value::as_array).flatten();
    items.filter(|item| item.is_object()).filter_map(|item| FileRef::deserialize(item).ok())
}

/// Where an upload went. The name may be another than the one asked for: `name (1).png`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct UploadAnswer {
    /// The file's name on the server.
    pub name: String,
    /// The folder under the one that `kind` names.
    pub subfolder: String,
    /// `input`, `output` or `temp`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl UploadAnswer {
    /// What a prompt's input calls the file: `subfolder/name`, or the name alone.
    ///
    /// ```
    /// use comfyui::api::UploadAnswer;
    ///
    /// let answer: UploadAnswer = serde_json::from_str(r#"{"name": "a.png", "subfolder": "b", "type": "input"}"#)?;
    /// assert_eq!(answer.input_value(), "b/a.png");
    /// # Ok::<(), serde_json::Error>(())
    /// ```
    #[must_use]
    pub fn input_value(&self) -> String {
        match self.subfolder.as_str() {
            "" => self.name.clone(),
            subfolder => format!("{subfolder}/{}", self.name),
        }
    }
}
