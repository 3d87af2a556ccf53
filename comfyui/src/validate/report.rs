//! `node_errors`: what stands in the way of the outputs that cannot run.

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::documents;
use super::walk::Judgement;

/// A thousand failing outputs behind a hundred faulty nodes; more are no longer of use to anybody.
const MOST_DEPENDENTS: usize = 100_000;

/// The report on all outputs that failed.
pub(super) struct Report<'a> {
    nodes: &'a Map<String, Value>,
    pub(super) node_errors: Map<String, Value>,
    /// The outputs' own errors, one a line.
    pub(super) complaints: Vec<String>,
    /// How many judgements are in it already.
    known: usize,
    dependents: usize,
}

impl<'a> Report<'a> {
    pub(super) fn new(nodes: &'a Map<String, Value>) -> Self {
        Self { nodes, node_errors: Map::new(), complaints: Vec::new(), known: 0, dependents: 0 }
    }

    /// Adds an output that failed. It is said to depend on every node that was found faulty until now, whether it does
    /// or not: so says ComfyUI.
    pub(super) fn add(&mut self, output: &str, judged: &IndexMap<&str, Judgement>) {
        for (id, judgement) in judged.iter().skip(self.known) {
            if !judgement.errors.is_empty() {
                self.node_errors.insert((*id).to_owned(), self.entry(id, judgement));
            }
        }
        self.known = judged.len();
        self.depend(output);
        let errors = judged.get(output).map(|judgement| judgement.errors.as_slice()).unwrap_or_default();
        self.complaints.extend(errors.iter().map(documents::complaint));
    }

    fn entry(&self, id: &str, judgement: &Judgement) -> Value {
        let class = self.nodes.get(id).and_then(|node| node.get("class_type"));
        json!({"errors": judgement.errors, "dependent_outputs": [], "class_type": class})
    }

    fn depend(&mut self, output: &str) {
        for entry in self.node_errors.values_mut() {
            if self.dependents == MOST_DEPENDENTS {
                return;
            }
            if let Some(outputs) = entry.get_mut("dependent_outputs").and_then(Value::as_array_mut) {
                outputs.push(Value::from(output));
                self.dependents += 1;
            }
        }
    }
}
