//! How an execution ends that does not end well, in the words of each generation.

use serde_json::{Map, Value, json};

use super::Execution;
use crate::comfy::history::Entry;
use crate::comfy::nodes::{self, Inputs, Stop};
use crate::comfy::state::Outcome;
use crate::generation::Generation;
use crate::lock::locked;

const OUT_OF_MEMORY: &str = "CUDA out of memory. Tried to allocate 20.00 GiB";
const MEMORY_TIPS: &str = "\nThis error means you ran out of memory on your GPU.\n\nTIPS: If the workflow worked \
                           before you might have accidentally set the batch_size to a large number.";

impl Execution<'_> {
    pub(super) fn end_badly(mut self, id: &str, stop: Stop) -> (Entry, Outcome) {
        let (kind, message) = match stop {
            Stop::Interrupted => {
                let data = self.noted("execution_interrupted", self.failure(id));
                // Goes to everybody where the prompt has no client.
                locked(&self.process.sockets).send("execution_interrupted", &data, self.item.client_id());
                return (self.entry(false), Outcome::Interrupted);
            }
            Stop::OutOfMemory => self.out_of_memory(),
            Stop::Raised { kind, message } => (kind, self.worded(message)),
        };
        let mut data = self.failure(id);
        data.insert("exception_message".to_owned(), json!(message));
        data.insert("exception_type".to_owned(), json!(kind));
        data.insert("traceback".to_owned(), json!(["(traceback removed)"]));
        data.insert("current_inputs".to_owned(), self.printed_inputs(id));
        data.insert("current_outputs".to_owned(), self.printed_outputs());
        self.note("execution_error", data);
        (self.entry(false), Outcome::Failed)
    }

    /// 0.8 ends every message with a line break.
    fn worded(&self, message: String) -> String {
        if self.process.generation().is_current() { format!("{message}\n") } else { message }
    }

    /// The words of the generation; 0.8 also drops every model. Both recordings have the newer type, as its
    /// name depends on PyTorch.
    fn out_of_memory(&self) -> (&'static str, String) {
        match self.process.generation() {
            Generation::V0_8 => {
                self.process.unload_models();
                ("torch.OutOfMemoryError", format!("{OUT_OF_MEMORY}{MEMORY_TIPS}"))
            }
            Generation::V2024 => ("torch.OutOfMemoryError", OUT_OF_MEMORY.to_owned()),
        }
    }

    fn failure(&self, id: &str) -> Map<String, Value> {
        let class = self.nodes.get(id).and_then(|node| node.get("class_type"));
        Map::from_iter([
            ("prompt_id".to_owned(), json!(self.item.prompt_id)),
            ("node_id".to_owned(), json!(id)),
            ("node_type".to_owned(), json!(class)),
            ("executed".to_owned(), json!(self.executed)),
        ])
    }

    fn printed_inputs(&self, id: &str) -> Value {
        let written = self.nodes.get(id).and_then(|node| node.get("inputs")?.as_object());
        written.map_or_else(|| json!({}), |written| Inputs::of(self, written).printed())
    }

    /// 0.8: the ids of all nodes. 2024: what each node made, printed.
    fn printed_outputs(&self) -> Value {
        if self.process.generation().is_current() {
            return json!(self.nodes.keys().collect::<Vec<_>>());
        }
        let made = self.nodes.keys().filter_map(|id| Some((id.clone(), self.made.get(id)?)));
        let printed = made.map(|(id, made)| {
            (
                id,
                json!(
                    made.products.iter().map(|product| json!([nodes::printed(product)])).collect::<Vec<_>>()
                ),
            )
        });
        Value::Object(printed.collect())
    }
}
