//! What an execution tells: to the prompt's client, and to its history.

use serde_json::{Map, Value, json};

use super::Execution;
use crate::comfy::process::now_ms;
use crate::lock::locked;

impl Execution<'_> {
    pub(super) fn show(&mut self, id: &str, shown: Value) {
        self.shown.insert(id.to_owned(), shown.clone());
        self.tell_of_node("executed", id, Some(shown));
    }

    /// To the prompt's own client; nobody hears where it has none.
    pub(super) fn tell_of_node(&self, kind: &str, id: &str, output: Option<Value>) {
        let Some(client_id) = self.item.client_id() else { return };
        let mut data = Map::from_iter([("node".to_owned(), json!(id))]);
        if self.process.generation().is_current() {
            data.insert("display_node".to_owned(), json!(id));
        }
        data.extend(output.map(|output| ("output".to_owned(), output)));
        data.insert("prompt_id".to_owned(), json!(self.item.prompt_id));
        locked(&self.process.sockets).send(kind, &Value::Object(data), Some(client_id));
    }

    pub(super) fn step(&mut self, id: &str, value: u64, max: u64, preview: Option<&[u8]>) {
        self.progress_state(id, &json!(value), &json!(max), "running");
        let client_id = self.item.client_id();
        let has_metadata = locked(&self.process.sockets).wants_metadata(client_id);
        if let Some(jpeg) = preview.filter(|_| has_metadata) {
            let metadata = json!({
                "node_id": id,
                "prompt_id": self.item.prompt_id,
                "display_node_id": id,
                "parent_node_id": null,
                "real_node_id": id,
                "image_type": "image/jpeg",
            });
            locked(&self.process.sockets).send_preview_with_metadata(jpeg, &metadata, client_id);
        }
        let data = json!({"value": value, "max": max, "prompt_id": self.item.prompt_id, "node": id});
        // Without a client this goes to everybody, as in the original.
        locked(&self.process.sockets).send("progress", &data, client_id);
        if let Some(jpeg) = preview.filter(|_| !has_metadata) {
            locked(&self.process.sockets).send_preview(jpeg, client_id);
        }
    }

    pub(super) fn finish(&mut self, id: &str) {
        let max = self.progress.get(id).and_then(|node| node.get("max")).cloned().unwrap_or(json!(1));
        self.progress_state(id, &max.clone(), &max, "finished");
    }

    /// Keeps the progress of a node and, in 0.8, tells that of all nodes so far.
    pub(super) fn progress_state(&mut self, id: &str, value: &Value, max: &Value, state: &str) {
        let node = json!({
            "value": value,
            "max": max,
            "state": state,
            "node_id": id,
            "prompt_id": self.item.prompt_id,
            "display_node_id": id,
            "parent_node_id": null,
            "real_node_id": id,
        });
        self.progress.insert(id.to_owned(), node);
        if self.process.generation().is_current() {
            let data = json!({"prompt_id": self.item.prompt_id, "nodes": self.progress});
            locked(&self.process.sockets).send("progress_state", &data, self.item.client_id());
        }
    }

    /// Tells, and keeps it for the history.
    pub(super) fn note(&mut self, kind: &str, data: Map<String, Value>) {
        let data = self.noted(kind, data);
        if let Some(client_id) = self.item.client_id() {
            locked(&self.process.sockets).send(kind, &data, Some(client_id));
        }
    }

    pub(super) fn noted(&mut self, kind: &str, mut data: Map<String, Value>) -> Value {
        data.entry("prompt_id").or_insert_with(|| json!(self.item.prompt_id));
        if self.process.generation().is_current() {
            data.insert("timestamp".to_owned(), json!(now_ms()));
        }
        let data = Value::Object(data);
        self.messages.push(json!([kind, data]));
        data
    }
}
