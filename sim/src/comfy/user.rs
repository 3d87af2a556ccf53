//! What a server keeps for the user of its web interface: settings and files. On its disk: it outlives the process.

use std::collections::BTreeMap;

use axum::body::Bytes;
use serde_json::{Map, Value, json};

#[derive(Debug, Default)]
pub(crate) struct User {
    pub(crate) settings: Map<String, Value>,
    files: BTreeMap<String, Bytes>,
}

impl User {
    /// Whether anything was kept yet.
    pub(crate) fn exists(&self) -> bool {
        !(self.settings.is_empty() && self.files.is_empty())
    }

    pub(crate) fn file(&self, path: &str) -> Option<Bytes> {
        self.files.get(path).cloned()
    }

    pub(crate) fn write(&mut self, path: &str, content: Bytes) {
        self.files.insert(path.to_owned(), content);
    }

    pub(crate) fn remove(&mut self, path: &str) -> Option<Bytes> {
        self.files.remove(path)
    }

    /// Path below `folder` and bytes of each file there; `None` where there is no such folder.
    pub(crate) fn list(&self, folder: &str, recurse: bool) -> Option<Vec<(String, usize)>> {
        let start = format!("{}/", folder.trim_end_matches('/'));
        let below = self.files.iter().filter_map(|(path, content)| {
            let rest = path.strip_prefix(&start)?;
            Some((rest.to_owned(), content.len()))
        });
        let below: Vec<_> = below.collect();
        let wanted = |(path, _): &(String, usize)| recurse || !path.contains('/');
        (!below.is_empty()).then(|| below.into_iter().filter(wanted).collect())
    }
}

/// A file as `full_info` tells it.
pub(crate) fn full_info(path: &str, bytes: usize) -> Value {
    json!({"path": path, "size": bytes, "modified": 1_700_000_000.0})
}
