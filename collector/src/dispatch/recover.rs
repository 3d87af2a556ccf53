//! What a lookup proved of an attempt that was in doubt. Pure.
//!
//! The queue is read first and the history after it: a prompt that moved from one to the other in between is then seen
//! in both, never in none. A prompt is known by its id, or, on a server that gives its own ids, by the mark that
//! dispatch put into its `extra_data`. The mark names the attempt as well, since a job that failed for its backend's sake
//! may be tried there again under the same id.

use comfyui::api::{History, HistoryEntry, QueueItem, QueueState};
use serde_json::{Map, Value, json};

use crate::id::JobId;

/// The key in `extra_data` under which the job's id travels.
pub(super) const MARK: &str = "orchestrator";

#[derive(Debug)]
pub(super) enum Found {
    /// In the backend's queue, under this id.
    Pending {
        prompt_id: String,
    },
    Running {
        prompt_id: String,
    },
    Ended {
        prompt_id: String,
        entry: Box<HistoryEntry>,
    },
    /// Neither queued nor in history.
    Nowhere,
}

pub(super) fn mark(job: JobId, attempt: u32) -> Value {
    json!({ "job": job.to_string(), "attempt": attempt })
}

/// Whether a prompt is none of an earlier attempt. Marks of earlier versions name none.
pub(super) fn is_attempt(extra_data: &Map<String, Value>, attempt: u32) -> bool {
    let marked = extra_data.get(MARK).and_then(|mark| mark.get("attempt"));
    marked.and_then(Value::as_u64).is_none_or(|marked| marked == u64::from(attempt))
}

fn is_marked(extra_data: &Map<String, Value>, job: JobId) -> bool {
    let marked = extra_data.get(MARK).and_then(|mark| mark.get("job"));
    marked.and_then(Value::as_str).is_some_and(|id| id == job.to_string())
}

/// What we know a prompt by.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    pub job: JobId,
    pub attempt: u32,
    pub prompt_id: Option<&'a str>,
}

impl Known<'_> {
    fn is(&self, item: &QueueItem) -> bool {
        let is_this = match self.prompt_id {
            Some(id) => item.prompt_id == id,
            None => item.prompt_id == self.job.to_string() || is_marked(&item.extra_data, self.job),
        };
        is_this && is_attempt(&item.extra_data, self.attempt)
    }
}

/// In the backend's queue, if it is there.
pub(super) fn in_queue(queue: &QueueState, known: Known<'_>) -> Option<Found> {
    let find =
        |items: &[QueueItem]| items.iter().find(|item| known.is(item)).map(|item| item.prompt_id.clone());
    let running = find(&queue.queue_running).map(|prompt_id| Found::Running { prompt_id });
    running.or_else(|| find(&queue.queue_pending).map(|prompt_id| Found::Pending { prompt_id }))
}

/// In a history that was read after that queue.
pub(super) fn in_history(history: History, known: Known<'_>) -> Found {
    let entry = history.into_iter().find(|(_, entry)| known.is(&entry.prompt));
    entry.map_or(Found::Nowhere, |(prompt_id, entry)| Found::Ended { prompt_id, entry: Box::new(entry) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(prompt_id: &str, extra_data: Value) -> Value {
        json!([1, prompt_id, {}, extra_data, []])
    }

    #[test]
    fn a_prompt_under_a_foreign_id_is_known_by_its_mark() {
        let job = JobId::random();
        let marked = item("theirs", json!({ "client_id": "x", MARK: mark(job, 1) }));
        let queue = json!({"queue_running": [item("other", json!({}))], "queue_pending": [marked]});
        let queue: QueueState = serde_json::from_value(queue).unwrap();
        let found = in_queue(&queue, Known { job, attempt: 1, prompt_id: None });
        assert!(matches!(found, Some(Found::Pending { prompt_id }) if prompt_id == "theirs"));
        assert!(in_queue(&queue, Known { job: JobId::random(), attempt: 1, prompt_id: None }).is_none());
    }

    #[test]
    fn an_earlier_attempt_on_the_same_backend_is_not_taken_for_this_one() {
        let job = JobId::random();
        let history = json!({"first": {"prompt": item("first", json!({ MARK: {"job": job.to_string()} })), "outputs": {}}});
        let history: History = serde_json::from_value(history).unwrap();
        assert!(matches!(
            in_history(history.clone(), Known { job, attempt: 2, prompt_id: Some("second") }),
            Found::Nowhere
        ));
        assert!(matches!(
            in_history(history, Known { job, attempt: 2, prompt_id: None }),
            Found::Ended { .. }
        ));
    }

    #[test]
    fn what_an_earlier_attempt_left_under_the_same_id_is_not_this_ones_end() {
        let job = JobId::random();
        let id = job.to_string();
        let history = json!({&id: {"prompt": item(&id, json!({ MARK: mark(job, 1) })), "outputs": {}}});
        let history: History = serde_json::from_value(history).unwrap();
        for (attempt, is_found) in [(1, true), (2, false)] {
            for prompt_id in [None, Some(id.as_str())] {
                let found = in_history(history.clone(), Known { job, attempt, prompt_id });
                assert_eq!(matches!(found, Found::Ended { .. }), is_found, "{attempt} {prompt_id:?}");
            }
        }
    }
}
