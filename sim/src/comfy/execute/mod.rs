//! Executes prompts one after the other and tells their clients, in the order of each generation.

mod failure;
mod tell;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use indexmap::IndexMap;
use serde_json::{Map, Value, json};

use super::cache::{Keys, Made};
use super::history::Entry;
use super::nodes::{self, Inputs, Stop};
use super::plan::Graph;
use super::process::{Current, Process};
use super::queue::Item;
use super::state::{Outcome, Run, Step};
use crate::lock::locked;

const BROKEN_CONTEXT: &str = "CUDA error: an illegal memory access was encountered\n\
    CUDA kernel errors might be asynchronously reported at some other API call, so the stacktrace below might be incorrect.";

/// The server's one worker: takes prompts from the queue until the process dies.
pub(crate) async fn work(process: Arc<Process>) {
    loop {
        let item = locked(&process.queue).start_next();
        match item {
            Some(item) => run(&process, &item).await,
            None => process.wake.notified().await,
        }
        process.apply_flags();
    }
}

async fn run(process: &Process, item: &Item) {
    let client_id = item.client_id().map(str::to_owned);
    *locked(&process.current) = Current { client_id, node: None };
    process.interrupted.store(false, Ordering::SeqCst);
    process.rig.board.began(Run {
        prompt_id: item.prompt_id.clone(),
        prompt: item.prompt.clone(),
        extra_data: item.extra_data.clone(),
        outcome: Outcome::Running,
    });
    process.queue_changed();
    let ended = tokio::select! {
        ended = Execution::begin(process, item).run() => Some(ended),
        () = process.lost.notified() => None,
    };
    let Some((entry, outcome)) = ended else {
        locked(&process.queue).running = None;
        process.rig.board.ended(Outcome::Killed);
        return;
    };
    process.rig.board.change(|state| state.stamp(&item.prompt_id, Step::Ended));
    locked(&process.history).add(entry);
    locked(&process.queue).running = None;
    locked(&process.current).node = None;
    process.queue_changed();
    if let Some(client_id) = item.client_id() {
        let ended = json!({"node": null, "prompt_id": item.prompt_id});
        locked(&process.sockets).send("executing", &ended, Some(client_id));
    }
    process.rig.board.ended(outcome);
}

/// One prompt being executed.
pub(crate) struct Execution<'a> {
    pub(crate) process: &'a Process,
    item: &'a Item,
    nodes: &'a Map<String, Value>,
    keys: Keys,
    cached: BTreeSet<String>,
    made: HashMap<String, Made>,
    /// Nodes that were executed, not taken from the cache.
    executed: Vec<String>,
    /// What nodes showed: the outputs of the history.
    shown: IndexMap<String, Value>,
    progress: Map<String, Value>,
    messages: Vec<Value>,
}

impl<'a> Execution<'a> {
    fn begin(process: &'a Process, item: &'a Item) -> Self {
        static NOTHING: std::sync::LazyLock<Map<String, Value>> = std::sync::LazyLock::new(Map::new);
        let nodes = item.prompt.as_object().unwrap_or(&NOTHING);
        let run = process.rig.board.0.borrow().runs.len() as u64;
        let keys = Keys::of(nodes, process.generation(), &process.rig.disk, run);
        let cached = locked(&process.cache).begin(&keys);
        Self {
            process,
            item,
            nodes,
            keys,
            cached,
            made: HashMap::new(),
            executed: Vec::new(),
            shown: IndexMap::new(),
            progress: Map::new(),
            messages: Vec::new(),
        }
    }

    async fn run(mut self) -> (Entry, Outcome) {
        self.take_cached();
        self.note("execution_start", Map::new());
        let cached: Vec<&String> = self.nodes.keys().filter(|id| self.cached.contains(*id)).collect();
        let nodes = Map::from_iter([("nodes".to_owned(), json!(cached))]);
        self.note("execution_cached", nodes);
        let graph = Graph::new(self.nodes, &self.process.rig.classes, &self.cached);
        let order = graph.order(self.process.generation(), &self.item.outputs);
        for id in order {
            if let Err(stop) = self.node(&id).await {
                return self.end_badly(&id, stop);
            }
        }
        if self.process.generation().is_current() {
            self.note("execution_success", Map::new());
        }
        (self.entry(true), Outcome::Succeeded)
    }

    fn take_cached(&mut self) {
        let cache = locked(&self.process.cache);
        for id in &self.cached {
            let Some(made) = self.keys.get(id).and_then(|key| cache.get(key)) else { continue };
            self.made.insert(id.clone(), made.clone());
            // 2024 shows what cached outputs showed in the history only; 0.8 tells it when it visits them.
            if let Some(shown) = made.shown.clone().filter(|_| !self.process.generation().is_current()) {
                self.shown.insert(id.clone(), shown);
            }
        }
    }

    pub(crate) fn made(&self, id: &str) -> Option<&Made> {
        self.made.get(id)
    }

    /// What is written into saved pictures.
    pub(crate) fn png_texts(&self) -> Vec<(&str, &Value)> {
        let info = self.item.extra_data.get("extra_pnginfo").and_then(Value::as_object);
        let info = info.into_iter().flatten().map(|(key, value)| (key.as_str(), value));
        std::iter::once(("prompt", &self.item.prompt)).chain(info).collect()
    }

    async fn node(&mut self, id: &str) -> Result<(), Stop> {
        if self.cached.contains(id) {
            self.visit_cached(id);
            return Ok(());
        }
        self.enter(id);
        let process = self.process;
        process.rig.gate.step(|| process.rig.board.waits()).await;
        self.check_interrupt()?;
        if process.is_broken.load(Ordering::Relaxed) {
            return Err(Stop::raised("RuntimeError", BROKEN_CONTEXT));
        }
        let node = self.nodes.get(id);
        let class = node.and_then(|node| node.get("class_type")?.as_str()).unwrap_or_default();
        let Some(written) = node.and_then(|node| node.get("inputs")?.as_object()) else {
            return Err(Stop::raised("KeyError", "'inputs'"));
        };
        let inputs = Inputs::of(self, written);
        let made = nodes::perform(self, id, class, &inputs).await?;
        self.leave(id, made);
        Ok(())
    }

    fn enter(&mut self, id: &str) {
        self.process.rig.board.at_node(id, 0);
        self.progress_state(id, &json!(0.0), &json!(1.0), "running");
        if self.item.client_id().is_some() {
            locked(&self.process.current).node = Some(id.to_owned());
            self.tell_of_node("executing", id, None);
        }
    }

    fn leave(&mut self, id: &str, made: Made) {
        if let Some(key) = self.keys.get(id) {
            locked(&self.process.cache).keep(key, made.clone());
        }
        if let Some(shown) = &made.shown {
            self.show(id, shown.clone());
        }
        self.made.insert(id.to_owned(), made);
        self.executed.push(id.to_owned());
        self.finish(id);
    }

    fn visit_cached(&mut self, id: &str) {
        let shown = self.made.get(id).and_then(|made| made.shown.clone());
        if let Some(shown) = shown {
            self.show(id, shown);
        }
        self.finish(id);
    }

    /// Takes the steps of a sampler. An interrupt takes effect before a step is told.
    pub(crate) async fn steps(
        &mut self,
        id: &str,
        steps: u64,
        seconds: f64,
        preview: Option<&[u8]>,
    ) -> Result<(), Stop> {
        let process = self.process;
        if process.rig.quirks.takes_memory() {
            return Err(Stop::OutOfMemory);
        }
        for step in 1..=steps {
            process.rig.gate.step(|| process.rig.board.waits()).await;
            tokio::time::sleep(process.rig.config.sleep(seconds)).await;
            self.check_interrupt()?;
            process.rig.board.at_node(id, step);
            self.step(id, step, steps, preview);
        }
        Ok(())
    }

    fn check_interrupt(&self) -> Result<(), Stop> {
        if self.process.interrupted.swap(false, Ordering::SeqCst) { Err(Stop::Interrupted) } else { Ok(()) }
    }

    fn entry(self, succeeded: bool) -> Entry {
        let meta = self.shown.keys().map(|id| {
            (id.clone(), json!({"node_id": id, "display_node": id, "parent_node": null, "real_node_id": id}))
        });
        let meta = self.process.generation().is_current().then(|| meta.collect());
        let outputs = self.shown.into_iter().collect();
        Entry { item: self.item.clone(), outputs, meta, succeeded, messages: self.messages }
    }
}
