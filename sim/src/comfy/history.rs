//! What ran: kept in memory in the order of ending, gone with the process.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::queue::Item;

/// The most that are kept, as in ComfyUI.
const KEPT: usize = 10_000;

/// A prompt whose execution ended.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) item: Item,
    pub(crate) outputs: Map<String, Value>,
    /// By node that showed something; absent in 2024.
    pub(crate) meta: Option<Map<String, Value>>,
    pub(crate) succeeded: bool,
    /// `[type, data]` of what was told.
    pub(crate) messages: Vec<Value>,
}

impl Entry {
    /// `{status_str, completed, messages}`.
    pub(crate) fn status(&self) -> Value {
        let status = if self.succeeded { "success" } else { "error" };
        json!({"status_str": status, "completed": self.succeeded, "messages": self.messages})
    }

    fn to_json(&self) -> Value {
        let mut document = json!({
            "prompt": self.item.to_json(),
            "outputs": self.outputs,
            "status": self.status(),
        });
        if let (Some(meta), Some(document)) = (&self.meta, document.as_object_mut()) {
            document.insert("meta".to_owned(), json!(meta));
        }
        document
    }
}

/// The history of one process.
#[derive(Debug, Default)]
pub(crate) struct History(IndexMap<String, Entry>);

impl History {
    pub(crate) fn add(&mut self, entry: Entry) {
        if self.0.len() >= KEPT {
            self.0.shift_remove_index(0);
        }
        self.0.insert(entry.item.prompt_id.clone(), entry);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    pub(crate) fn delete(&mut self, prompt_id: &str) {
        self.0.shift_remove(prompt_id);
    }

    pub(crate) fn entries(&self) -> impl DoubleEndedIterator<Item = &Entry> {
        self.0.values()
    }

    /// The document of one prompt: empty if unknown.
    pub(crate) fn one(&self, prompt_id: &str) -> Value {
        let found = self.0.get(prompt_id).map(|entry| (prompt_id.to_owned(), entry.to_json()));
        Value::Object(found.into_iter().collect())
    }

    /// The document of all, or of `max_items` from `offset` on; without an offset, or with a negative one, of the last
    /// ones. The original looks whether there are enough only after it has added one.
    pub(crate) fn all(&self, max_items: Option<i64>, offset: Option<i64>) -> Value {
        let held = i64::try_from(self.0.len()).unwrap_or(i64::MAX);
        let from = match (offset.filter(|offset| *offset >= 0), max_items) {
            (Some(offset), _) => offset,
            (None, Some(most)) => held.saturating_sub(most),
            (None, None) => 0,
        };
        let count = |number: i64| usize::try_from(number.max(0)).unwrap_or(usize::MAX);
        let most = count(max_items.unwrap_or(held).max(1));
        let entries = self.0.iter().skip(count(from)).take(most);
        Value::Object(entries.map(|(id, entry)| (id.clone(), entry.to_json())).collect())
    }
}
