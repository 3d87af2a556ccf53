//! What a test can see of a simulated server, across the deaths of its process: published at every change.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::watch;

/// Everything that a test can see of a simulated server.
#[derive(Clone, Debug, Default)]
pub struct State {
    /// Whether its process runs.
    pub up: bool,
    /// When it started, in seconds since 1970. Every restart adds ten, since agents tell processes apart by seconds.
    pub started_unix_seconds: Option<f64>,
    /// The prompt that runs now.
    pub running: Option<String>,
    /// The node of it that runs now.
    pub node: Option<String>,
    /// The steps of that node that are done.
    pub steps_done: u64,
    /// Whether the running prompt waits at the gate of [`Comfy::hold`](crate::Comfy::hold).
    pub waits_at_gate: bool,
    /// The prompts that wait, in the order in which they will run.
    pub pending: Vec<String>,
    /// Models in the device's memory, the one used longest ago first.
    pub loaded: Vec<String>,
    /// MiB of those models.
    pub loaded_mb: u64,
    /// MiB of the device's memory that other programs hold.
    pub others_mb: u64,
    /// `clientId`s of the WebSockets that are open and hear events.
    pub clients: Vec<String>,
    /// Every execution that ever began, in order.
    pub runs: Vec<Run>,
    /// What happened to prompts and when, in order: for measurements.
    pub stamps: Vec<Stamp>,
    /// Counted since the simulation began.
    pub counters: Counters,
}

/// One execution of a prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The server's id of the prompt.
    pub prompt_id: String,
    /// What ran.
    pub prompt: Value,
    /// The request's `extra_data` with what the server adds.
    pub extra_data: Value,
    /// How it ended, or that it has not.
    pub outcome: Outcome,
}

/// A moment in the life of a prompt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stamp {
    /// The server's id of the prompt.
    pub prompt_id: String,
    /// What happened.
    pub step: Step,
    /// When it happened.
    pub at: Instant,
}

/// What happens to a prompt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// `POST /prompt` put it into the server's queue; the answer is not sent yet.
    Accepted,
    /// Its execution began.
    Began,
    /// Its last node ended, well or not: within microseconds of the frames that tell its end.
    Ended,
}

/// How an execution ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It has not.
    Running,
    /// Every output was made.
    Succeeded,
    /// A node raised.
    Failed,
    /// Interrupted by a request.
    Interrupted,
    /// The process was killed.
    Killed,
}

/// Counted since the simulation began, over all processes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Prompts that were enqueued.
    pub accepted: u64,
    /// Prompts that were refused by validation.
    pub refused: u64,
    /// Prompts whose execution ended, however.
    pub executed: u64,
    /// Loads of each model into the device's memory.
    pub loads: BTreeMap<String, u64>,
    /// Requests to `/free` that asked for something.
    pub frees: u64,
    /// Requests to `/interrupt`.
    pub interrupts: u64,
    /// Files that were uploaded.
    pub uploads: u64,
    /// Requests by `METHOD /path`, without the prefix `/api`.
    pub requests: BTreeMap<String, u64>,
    /// WebSockets that were ever opened.
    pub sockets: u64,
}

impl Counters {
    /// Loads of all models.
    pub fn all_loads(&self) -> u64 {
        self.loads.values().sum()
    }
}

impl State {
    /// How the execution of a prompt ended; the last one, where it was executed more than once.
    pub fn outcome(&self, prompt_id: &str) -> Option<Outcome> {
        self.runs.iter().rev().find(|run| run.prompt_id == prompt_id).map(|run| run.outcome)
    }

    pub(crate) fn stamp(&mut self, prompt_id: &str, step: Step) {
        self.stamps.push(Stamp { prompt_id: prompt_id.to_owned(), step, at: Instant::now() });
    }

    fn end_run(&mut self, outcome: Outcome) {
        if let Some(run) = self.runs.last_mut().filter(|run| run.outcome == Outcome::Running) {
            run.outcome = outcome;
        }
        self.running = None;
        self.node = None;
        self.waits_at_gate = false;
    }
}

/// The one place where [`State`] is kept and published.
#[derive(Debug, Default)]
pub(crate) struct Board(pub(crate) watch::Sender<State>);

impl Board {
    pub(crate) fn change(&self, change: impl FnOnce(&mut State)) {
        self.0.send_modify(change);
    }

    pub(crate) fn count(&self, count: impl FnOnce(&mut Counters)) {
        self.0.send_modify(|state| count(&mut state.counters));
    }

    pub(crate) fn started(&self, unix_seconds: f64) {
        self.change(|state| {
            state.up = true;
            let earliest = state.started_unix_seconds.map_or(unix_seconds, |before| before + 10.0);
            state.started_unix_seconds = Some(unix_seconds.max(earliest));
        });
    }

    pub(crate) fn began(&self, run: Run) {
        self.change(|state| {
            state.running = Some(run.prompt_id.clone());
            state.stamp(&run.prompt_id, Step::Began);
            state.runs.push(run);
        });
    }

    pub(crate) fn ended(&self, outcome: Outcome) {
        self.change(|state| {
            state.end_run(outcome);
            state.counters.executed += 1;
        });
    }

    pub(crate) fn at_node(&self, node: &str, steps_done: u64) {
        self.change(|state| {
            state.node = Some(node.to_owned());
            state.steps_done = steps_done;
            state.waits_at_gate = false;
        });
    }

    pub(crate) fn waits(&self) {
        self.change(|state| state.waits_at_gate = true);
    }

    pub(crate) fn died(&self) {
        self.change(|state| {
            state.end_run(Outcome::Killed);
            state.up = false;
            state.pending.clear();
            state.loaded.clear();
            state.loaded_mb = 0;
            state.clients.clear();
        });
    }
}
