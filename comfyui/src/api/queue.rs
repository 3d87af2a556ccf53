//! `/queue` and `GET /prompt`: what a server still has to do.

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Number, Value};

/// A server's whole backlog. Large: every item carries its prompt.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueState {
    /// What runs now: one item at most.
    pub queue_running: Vec<QueueItem>,
    /// What waits, in no particular order: the least `number` runs first.
    pub queue_pending: Vec<QueueItem>,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

/// One queued prompt; on the wire an array, `[number, prompt_id, prompt, extra_data, outputs_to_execute, ...]`.
#[derive(Debug, Clone, PartialEq)]
pub struct QueueItem {
    /// Its place: the least runs first. Often an integer, a float where a client chose it, negative at the front.
    pub number: Number,
    /// Its id.
    pub prompt_id: String,
    /// The graph.
    pub prompt: Value,
    /// `client_id`, `create_time` and what the client sent along.
    pub extra_data: Map<String, Value>,
    /// The ids of the output nodes that will be run.
    pub outputs_to_execute: Value,
    /// What newer servers append.
    pub rest: Vec<Value>,
}

type Leading = (Number, String, Value, Map<String, Value>, Value);

impl<'de> Deserialize<'de> for QueueItem {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut leading = Vec::<Value>::deserialize(deserializer)?;
        let rest = leading.split_off(leading.len().min(5));
        let (number, prompt_id, prompt, extra_data, outputs_to_execute) =
            Leading::deserialize(Value::Array(leading)).map_err(D::Error::custom)?;
        Ok(Self { number, prompt_id, prompt, extra_data, outputs_to_execute, rest })
    }
}

impl Serialize for QueueItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let leading = [Part::Number(&self.number), Part::Text(&self.prompt_id), Part::Value(&self.prompt)];
        let trailing = [Part::Map(&self.extra_data), Part::Value(&self.outputs_to_execute)];
        serializer.collect_seq(leading.into_iter().chain(trailing).chain(self.rest.iter().map(Part::Value)))
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Number(&'a Number),
    Text(&'a str),
    Map(&'a Map<String, Value>),
    Value(&'a Value),
}

/// The answer of `GET /prompt` and the body of a `status` message: how much is left.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct QueueRemaining {
    /// The only part that there is.
    pub exec_info: ExecInfo,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

impl QueueRemaining {
    /// A document that says this count.
    #[must_use]
    pub fn of(queue_remaining: u64) -> Self {
        Self { exec_info: ExecInfo { queue_remaining, extra: Map::new() }, extra: Map::new() }
    }
}

/// See [`QueueRemaining`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ExecInfo {
    /// Prompts that run or wait.
    pub queue_remaining: u64,
    /// Everything else.
    #[serde(flatten)]
    pub extra: Map<String, Value>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn an_item_longer_than_known_keeps_its_tail() {
        let document = json!([-7.0, "id", {"1": {}}, {"client_id": "c"}, ["9"], {"secret": 1}, null]);
        let item: QueueItem = serde_json::from_value(document.clone()).unwrap();
        assert_eq!(item.rest, [json!({"secret": 1}), Value::Null]);
        assert_eq!(serde_json::to_value(&item).unwrap(), document);
    }

    #[test]
    fn an_item_too_short_is_refused() {
        assert!(serde_json::from_value::<QueueItem>(json!([1, "id", {}, {}])).is_err());
    }
}
