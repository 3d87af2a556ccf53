//! What the web interface asks for besides: users, their files, and what custom nodes bring along.

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Number, Value};

/// The answer of `GET /users`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Users {
    /// Where settings are kept: `server`, or `browser` in some servers of 2024.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub storage: Option<String>,
    /// Whether the one user's settings were brought over from the browser; only in servers with one user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub migrated: Option<bool>,
    /// User id → name; only in servers with several users.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<Map<String, Value>>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// What a server can do (`GET /features`, and its message `feature_flags`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Features {
    /// Whether previews can come with what they belong to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub supports_preview_metadata: Option<bool>,
    /// Bytes that an upload may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_upload_size: Option<u64>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A file that the web interface keeps for its user (`/userdata`): a workflow, a style sheet.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UserFile {
    /// Under the user's folder, or under the one that was listed.
    pub path: String,
    /// Bytes; absent in 2024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// When it was changed: milliseconds since 1970, or seconds with a fraction in older servers; absent in 2024.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub modified: Option<Number>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// Servers of 2024 tell the path alone, although asked for all.
#[derive(Deserialize)]
#[serde(untagged)]
enum Told {
    Path(String),
    All {
        path: String,
        size: Option<u64>,
        modified: Option<Number>,
        #[serde(flatten)]
        extra: Map<String, Value>,
    },
}

impl<'de> Deserialize<'de> for UserFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(match Told::deserialize(deserializer)? {
            Told::Path(path) => Self { path, size: None, modified: None, extra: Map::new() },
            Told::All { path, size, modified, extra } => Self { path, size, modified, extra },
        })
    }
}

/// A kind of model and where its files are (`GET /experiment/models`).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ModelFolder {
    /// Such as `checkpoints`.
    pub name: String,
    /// Paths on the server's disk.
    #[serde(default)]
    pub folders: Vec<String>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// A subgraph that custom nodes bring (`GET /global_subgraphs`), without its document.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct GlobalSubgraph {
    /// Where it comes from, such as `custom_node`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// What people call it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// More about its source, such as `node_pack`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub info: Option<Value>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_users_file_is_told_by_its_path_or_in_full() {
        let files = json!(["a.json", {"path": "b.json", "size": 3, "modified": 1.5, "created": 7}]);
        let files: Vec<UserFile> = serde_json::from_value(files).unwrap();
        assert_eq!((files[0].path.as_str(), files[0].size), ("a.json", None));
        let told = json!({"path": "b.json", "size": 3, "modified": 1.5, "created": 7});
        assert_eq!(serde_json::to_value(&files[1]).unwrap(), told);
    }
}
