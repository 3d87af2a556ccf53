//! The end of a job: its results are read from the backend's history, committed, and only then told.

use std::sync::Arc;
use std::time::Duration;

use comfyui::api::HistoryEntry;
use comfyui::message::{Executing, ExecutionStart, Message};
use serde_json::{Map, Value, json};

use super::done::{Conclusion, Done};
use super::tools::Tools;
use super::track::{Ending, Track};
use super::{recover, results};
use crate::clock::UnixMillis;
use crate::event::Event;
use crate::id::BackendId;
use crate::job::{Change, Course, Job, Outcome, Results};

/// Pauses between attempts to read the history of a job that has just ended.
const READ_AGAIN: [Duration; 3] =
    [Duration::from_millis(100), Duration::from_millis(500), Duration::from_secs(2)];
/// What is known when a job's end begins.
pub(super) struct Closing {
    pub job: Arc<Job>,
    pub attempt: u32,
    pub backend: BackendId,
    pub prompt_id: Option<String>,
    pub course: Course,
    ending: Ending,
    told_outputs: Vec<String>,
    outputs: Map<String, Value>,
    pub entry: Option<Box<HistoryEntry>>,
}

impl Closing {
    /// `entry`: the backend's history of it, when a lookup found it there.
    pub(super) fn of(track: &Track, entry: Option<Box<HistoryEntry>>) -> Self {
        Self {
            job: Arc::clone(&track.job),
            attempt: track.attempt,
            backend: track.backend.clone(),
            prompt_id: track.prompt_id.clone(),
            course: track.course(),
            ending: track.ending.clone(),
            told_outputs: track.told_outputs.clone(),
            outputs: track.outputs.clone(),
            entry,
        }
    }

    /// Pure.
    pub(super) fn end(mut self, now: UnixMillis) -> Ended {
        let (outcome, results) = settle(&mut self, now);
        let last = self.ending.last.take();
        let last = last.or_else(|| last_message(outcome, &results, &self.job.id.to_string()));
        let reason = reason(last.as_ref());
        let events = last_events(&self, last, &results);
        Ended { outcome, results, reason, events }
    }

    /// An end that was told before the backend was lost: none is asked for its history.
    pub(super) fn of_frames(track: &Track) -> Self {
        Self { prompt_id: None, ..Self::of(track, None) }
    }

    /// An end that no backend knows of: `prompt_id` is dropped so that none is asked.
    pub(super) fn without_backend(track: &Track, outcome: Outcome, last: Option<Message>) -> Self {
        let ending = Ending { outcome: Some(outcome), last };
        Self { prompt_id: None, ending, ..Self::of(track, None) }
    }
}

/// A job's end, as it is committed and told.
pub(super) struct Ended {
    pub outcome: Outcome,
    pub results: Results,
    /// What went wrong, in one line; empty where nothing did.
    pub reason: String,
    /// What the client is still to be told, in order.
    pub events: Vec<Event>,
}

pub(super) async fn conclude(tools: Arc<Tools>, mut closing: Closing) -> Done {
    if closing.entry.is_none() {
        closing.entry = read(&tools, &closing).await.map(Box::new);
    }
    let (job, attempt, course) = (Arc::clone(&closing.job), closing.attempt, closing.course);
    let Ended { outcome, results, reason, events } = closing.end(tools.clock.now());
    let is_committed = tools.insist_on_end(job.id, || {
        let (at, results) = (tools.clock.now(), Box::new(results.clone()));
        Change::End { job: job.id, attempt: Some(attempt), at, outcome, results, course }
    });
    let events = if is_committed.await { events } else { Vec::new() };
    Done::Concluded(Box::new(Conclusion { job, outcome, reason, events }))
}

async fn read(tools: &Tools, closing: &Closing) -> Option<HistoryEntry> {
    let (client, prompt_id) = (tools.clients.get(&closing.backend)?, closing.prompt_id.as_deref()?);
    for pause in READ_AGAIN.into_iter().map(Some).chain([None]) {
        match client.history_of(prompt_id).await {
            Ok(Some(entry)) if recover::is_attempt(&entry.prompt.extra_data, closing.attempt) => {
                return Some(entry);
            }
            Ok(_) => {}
            Err(error) if pause.is_none() => {
                let job = closing.job.id;
                tracing::warn!(%job, %error, "its results are kept as its events told them");
            }
            Err(_) => {}
        }
        tokio::time::sleep(pause?).await;
    }
    None
}

/// The frames' word on how it ended goes before the history's, which in 2024 says less. Only a server of 2024, known by
/// its own ids, ends a success without a word.
fn settle(closing: &mut Closing, now: UnixMillis) -> (Outcome, Results) {
    let job = closing.job.id;
    if let Some(entry) = closing.entry.take() {
        let (by_history, results) = results::of_history(*entry, job, &closing.backend);
        return (closing.ending.outcome.unwrap_or(by_history), results);
    }
    let is_own_id = closing.prompt_id.as_ref().is_some_and(|id| *id != job.to_string());
    let outcome =
        closing.ending.outcome.unwrap_or(if is_own_id { Outcome::Succeeded } else { Outcome::Failed });
    if outcome == Outcome::Failed && closing.ending.last.is_none() {
        let reason = "the backend ended the job, but neither told how nor keeps it in its history";
        closing.ending.last = Some(results::error_message(job, "EndUnknown", reason, Value::Null, now));
    }
    (outcome, results::of_frames(outcome, closing.outputs.clone(), closing.ending.last.as_ref()))
}

/// Outputs whose `executed` was never heard (2024 sends none for cached nodes), how it ended, and that it is over.
fn last_events(closing: &Closing, last: Option<Message>, results: &Results) -> Vec<Event> {
    let prompt_id = closing.job.id.to_string();
    let untold = results.outputs.iter().filter(|(node, _)| !closing.told_outputs.contains(node));
    let executed = untold.map(|(node, output)| executed(node, output, &prompt_id));
    let over = Message::Executing(Executing {
        node: None,
        prompt_id: Some(prompt_id.clone()),
        ..Executing::default()
    });
    let messages = executed.chain(last).chain([over]);
    messages.map(|message| Event::heavy(message.to_text())).collect()
}

fn executed(node: &str, output: &Value, prompt_id: &str) -> Message {
    let data = json!({ "node": node, "display_node": node, "output": output, "prompt_id": prompt_id });
    Message::of("executed".to_owned(), data)
}

/// The message that ends a job, from its history, where its own was missed; 2024 has none for success.
fn last_message(outcome: Outcome, results: &Results, prompt_id: &str) -> Option<Message> {
    let kind = match outcome {
        Outcome::Succeeded => "execution_success",
        Outcome::Failed => "execution_error",
        Outcome::Interrupted => "execution_interrupted",
        Outcome::Cancelled => return None,
    };
    let messages = results.status.get("messages").and_then(Value::as_array).into_iter().flatten();
    let mut of_kind = messages.filter(|message| message.get(0).and_then(Value::as_str) == Some(kind));
    let from_history = of_kind.next_back().and_then(|message| message.get(1)).cloned();
    let plain = || {
        Message::ExecutionSuccess(ExecutionStart {
            prompt_id: Some(prompt_id.to_owned()),
            ..Default::default()
        })
    };
    match from_history {
        Some(data) => Some(Message::of(kind.to_owned(), data)),
        None if outcome == Outcome::Succeeded => Some(plain()),
        None => Some(Message::of(kind.to_owned(), json!({ "prompt_id": prompt_id }))),
    }
}

/// The exception of a failed job, as its last message tells it.
fn reason(last: Option<&Message>) -> String {
    match last {
        Some(Message::ExecutionError(error)) => {
            let message = error.exception_message.split_whitespace().collect::<Vec<_>>().join(" ");
            format!("{}: {message}", error.exception_type)
        }
        _ => String::new(),
    }
}
