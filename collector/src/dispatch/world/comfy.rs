//! A ComfyUI as the rest of the world meets it: a process that comes and goes, a queue of its own, a history that dies
//! with it, and one socket that hears while it is open.

use comfyui::api::{HistoryEntry, QueueItem};
use comfyui::{Frame, Message};
use serde_json::{Value, json};

use crate::dispatch::recover;
use crate::id::{BackendId, JobId};

/// What a run has still to do after `execution_start`, and in what order it tells of it.
pub(super) const STEPS: u32 = 4;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Network {
    Fine,
    /// Nothing arrives, nothing answers: requests time out.
    Cut,
}

#[derive(Clone, Debug)]
pub(super) struct Prompt {
    pub id: String,
    pub job: JobId,
    pub attempt: u32,
    pub steps: u32,
    pub interrupted: bool,
}

/// Exceptions of nodes: whose fault they are decides what becomes of the job.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Exception {
    Own,
    OutOfMemory,
    BrokenContext,
}

impl Exception {
    pub(super) const ALL: [Self; 3] = [Self::Own, Self::OutOfMemory, Self::BrokenContext];

    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Own => ("ValueError", "no"),
            Self::OutOfMemory => ("torch.OutOfMemoryError", "CUDA out of memory"),
            Self::BrokenContext => ("RuntimeError", "CUDA error: an illegal memory access was encountered"),
        }
    }
}

#[derive(Clone, Debug)]
struct Past {
    prompt: Prompt,
    succeeded: bool,
    exception: Option<Exception>,
}

pub(super) struct Comfy {
    pub id: BackendId,
    /// Gives its own ids and says less, as in 2024.
    pub old: bool,
    /// Which process it is; `None`: none runs.
    pub process: Option<u32>,
    pub processes: u32,
    pub network: Network,
    /// Until when it answers nothing and works on nothing, though its process lives.
    pub stuck_until: u64,
    /// Our socket to it: which connection, so that frames of an earlier one are not taken for its own.
    pub socket: Option<u32>,
    pub sockets: u32,
    /// When the last frame on its way arrives: one socket keeps its order.
    pub arrives_at: u64,
    /// Requests that lie before a stuck process: it takes them up before it answers anything later.
    pub inbox: Vec<(JobId, u32)>,
    pub pending: Vec<Prompt>,
    pub running: Option<Prompt>,
    past: Vec<Past>,
    counter: u64,
}

impl Comfy {
    pub(super) fn new(id: BackendId, old: bool) -> Self {
        Self {
            id,
            old,
            process: Some(0),
            processes: 1,
            network: Network::Fine,
            stuck_until: 0,
            socket: None,
            sockets: 0,
            arrives_at: 0,
            inbox: Vec::new(),
            pending: Vec::new(),
            running: None,
            past: Vec::new(),
            counter: 0,
        }
    }

    pub(super) fn answers(&self, now: u64) -> bool {
        self.process.is_some() && self.network == Network::Fine && self.stuck_until <= now
    }

    /// Its process ends, and with it all that it knew.
    pub(super) fn die(&mut self) {
        (self.process, self.running, self.socket) = (None, None, None);
        self.pending.clear();
        self.past.clear();
        self.inbox.clear();
        self.stuck_until = 0;
    }

    pub(super) fn start(&mut self) {
        if self.process.is_none() {
            self.process = Some(self.processes);
            self.processes += 1;
        }
    }

    /// Whether a job runs or will run here, or has ended so that it must not run again.
    pub(super) fn has(&self, job: JobId) -> bool {
        let queued = self.running.iter().chain(&self.pending).any(|prompt| prompt.job == job);
        let failed = |past: &Past| past.prompt.job == job && past.exception == Some(Exception::Own);
        queued || self.has_made(job) || self.past.iter().any(failed)
    }

    /// Whether it has run to success here.
    pub(super) fn has_made(&self, job: JobId) -> bool {
        self.past.iter().any(|past| past.prompt.job == job && past.succeeded)
    }

    /// Takes a prompt; gives the id under which it is known here.
    pub(super) fn take(&mut self, job: JobId, attempt: u32) -> String {
        self.counter += 1;
        let id = if self.old { format!("{}-{}", self.id, self.counter) } else { job.to_string() };
        self.pending.push(Prompt { id: id.clone(), job, attempt, steps: STEPS, interrupted: false });
        id
    }

    /// One step of work, and what is told of it.
    pub(super) fn work(&mut self, fails: Option<Exception>) -> Vec<Message> {
        let Some(prompt) = &mut self.running else {
            if self.pending.is_empty() {
                return Vec::new();
            }
            let prompt = self.pending.remove(0);
            let told = vec![
                message("execution_start", json!({ "prompt_id": prompt.id })),
                message("executing", json!({ "prompt_id": prompt.id, "node": "1" })),
            ];
            self.running = Some(prompt);
            return told;
        };
        if prompt.interrupted {
            return self.end(false, "execution_interrupted", None);
        }
        if fails.is_some() {
            return self.end(false, "execution_error", fails);
        }
        if prompt.steps > 0 {
            prompt.steps -= 1;
            let (value, id) = (STEPS - prompt.steps, prompt.id.clone());
            return vec![message(
                "progress",
                json!({ "prompt_id": id, "node": "1", "value": value, "max": STEPS }),
            )];
        }
        self.end(true, "execution_success", None)
    }

    fn end(&mut self, succeeded: bool, last: &str, exception: Option<Exception>) -> Vec<Message> {
        let Some(prompt) = self.running.take() else { return Vec::new() };
        let id = prompt.id.clone();
        self.past.push(Past { prompt, succeeded, exception });
        let mut told = Vec::new();
        if succeeded {
            told.push(message("executed", json!({ "prompt_id": id, "node": "1", "output": output() })));
        }
        if !(self.old && succeeded) {
            told.push(message(last, ending(&id, last, exception)));
        }
        told.push(message("executing", json!({ "prompt_id": id, "node": null })));
        told
    }

    pub(super) fn queue(&self) -> comfyui::api::QueueState {
        let items = |prompts: &mut dyn Iterator<Item = &Prompt>| prompts.map(item).collect();
        comfyui::api::QueueState {
            queue_running: items(&mut self.running.iter()),
            queue_pending: items(&mut self.pending.iter()),
            extra: Default::default(),
        }
    }

    pub(super) fn history(&self) -> comfyui::api::History {
        self.past.iter().map(|past| (past.prompt.id.clone(), entry(past))).collect()
    }
}

fn message(kind: &str, data: Value) -> Message {
    Message::of(kind.to_owned(), data)
}

fn output() -> Value {
    json!({ "images": [{ "filename": "a.png", "subfolder": "", "type": "output" }] })
}

fn ending(id: &str, kind: &str, exception: Option<Exception>) -> Value {
    let (exception_type, message) = exception.unwrap_or(Exception::Own).words();
    match kind {
        "execution_error" => json!({ "prompt_id": id, "node_id": "1", "node_type": "C", "executed": [],
            "exception_message": message, "exception_type": exception_type, "traceback": [] }),
        "execution_interrupted" => {
            json!({ "prompt_id": id, "node_id": "1", "node_type": "C", "executed": [] })
        }
        _ => json!({ "prompt_id": id }),
    }
}

fn item(prompt: &Prompt) -> QueueItem {
    QueueItem {
        number: 1.into(),
        prompt_id: prompt.id.clone(),
        prompt: json!({}),
        extra_data: serde_json::Map::from_iter([(
            recover::MARK.to_owned(),
            recover::mark(prompt.job, prompt.attempt),
        )]),
        outputs_to_execute: json!([]),
        rest: Vec::new(),
    }
}

fn entry(past: &Past) -> HistoryEntry {
    let kind = match (past.succeeded, past.prompt.interrupted) {
        (true, _) => "execution_success",
        (false, true) => "execution_interrupted",
        (false, false) => "execution_error",
    };
    let status = json!({
        "status_str": if past.succeeded { "success" } else { "error" },
        "completed": past.succeeded,
        "messages": [[kind, ending(&past.prompt.id, kind, past.exception)]],
    });
    let outputs = if past.succeeded { json!({ "1": output() }) } else { json!({}) };
    let entry = json!({ "prompt": item(&past.prompt), "outputs": outputs, "status": status });
    serde_json::from_value(entry).unwrap()
}

pub(super) fn frame(message: Message) -> Frame {
    Frame::Message(message)
}
