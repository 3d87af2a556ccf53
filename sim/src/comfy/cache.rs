//! Results that a server keeps from one prompt to the next: those whose inputs, and all before them, are
//! unchanged. 0.8 finds them by what was computed, 2024 by the node's id too. Only the last prompt's are kept.

use std::collections::{BTreeSet, HashMap};

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::files::{Disk, Place};
use super::nodes::Product;
use super::plan::link;
use crate::generation::Generation;

/// What a node made.
#[derive(Clone, Debug, Default)]
pub(crate) struct Made {
    pub(crate) products: Vec<Product>,
    /// What the node shows: the `output` of `executed`.
    pub(crate) shown: Option<Value>,
}

/// The keys of a prompt's nodes.
#[derive(Debug, Default)]
pub(crate) struct Keys(HashMap<String, String>);

impl Keys {
    /// Computes them. `run` makes the keys of nodes that always count as changed differ from run to run.
    pub(crate) fn of(nodes: &Map<String, Value>, generation: Generation, disk: &Disk, run: u64) -> Self {
        let mut keys = Self::default();
        for id in nodes.keys() {
            keys.add(id, nodes, generation, disk, run);
        }
        keys
    }

    pub(crate) fn get(&self, id: &str) -> Option<&String> {
        self.0.get(id)
    }

    fn add(&mut self, id: &str, nodes: &Map<String, Value>, generation: Generation, disk: &Disk, run: u64) {
        let Some(node) = nodes.get(id).filter(|_| !self.0.contains_key(id)) else { return };
        let class = node.get("class_type").and_then(Value::as_str).unwrap_or_default();
        let mut digest = Sha256::new();
        digest.update(class);
        if !generation.is_current() {
            digest.update(format!("\0{id}"));
        }
        for (name, value) in node.get("inputs").and_then(Value::as_object).into_iter().flatten() {
            digest.update(format!("\0{name}="));
            match link(value) {
                Some((from, slot)) => {
                    self.add(from, nodes, generation, disk, run);
                    digest.update(format!("{slot}:{}", self.get(from).map_or("", String::as_str)));
                }
                None => digest.update(value.to_string()),
            }
        }
        digest.update(changes(class, node, disk, run));
        self.0.insert(id.to_owned(), format!("{:x}", digest.finalize()));
    }
}

/// What `IS_CHANGED` of a class answers: the file of `LoadImage`; something new at every run for `SimLoader`.
fn changes(class: &str, node: &Value, disk: &Disk, run: u64) -> Vec<u8> {
    match class {
        "SimLoader" => run.to_be_bytes().to_vec(),
        "LoadImage" => {
            let name = node.get("inputs").and_then(|inputs| inputs.get("image")?.as_str());
            let bytes = name.and_then(Place::annotated).and_then(|place| disk.read(&place));
            Sha256::digest(bytes.unwrap_or_default()).to_vec()
        }
        _ => Vec::new(),
    }
}

/// The kept results.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, Made>);

impl Cache {
    /// Forgets what this prompt does not need, and says which of its nodes are cached.
    pub(crate) fn begin(&mut self, keys: &Keys) -> BTreeSet<String> {
        let wanted: BTreeSet<&String> = keys.0.values().collect();
        self.0.retain(|key, _| wanted.contains(key));
        keys.0.iter().filter(|(_, key)| self.0.contains_key(*key)).map(|(id, _)| id.clone()).collect()
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Made> {
        self.0.get(key)
    }

    pub(crate) fn keep(&mut self, key: &str, made: Made) {
        self.0.insert(key.to_owned(), made);
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
