//! The course of one job: what is heard of it in, what there is to show out. Pure.
//!
//! Events are told once and not again after a connection has broken, so whether a job has begun or ended is always read
//! from its record; an event only says when to look.

use comfyui::Message;
use comfyui::message::{NodeProgress, Progress, ProgressState};
use indexmap::IndexMap;
use serde::Serialize;
use serde_json::Number;

use super::super::record::Record;

/// A job to follow.
#[derive(Clone, Debug)]
pub(in super::super) struct Job {
    pub(in super::super) id: String,
    /// Its file, for people.
    pub(in super::super) name: String,
    /// Node id → its title or class.
    pub(in super::super) labels: IndexMap<String, String>,
}

/// Something to show.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub(super) enum Told {
    Accepted,
    /// Backend: what speaks against it, for each.
    Waiting {
        why: String,
    },
    Begun {
        backend: String,
        attempt: u32,
        why: String,
    },
    /// So many nodes need no work.
    Cached {
        nodes: usize,
    },
    Node {
        node: String,
        label: String,
    },
    Steps {
        node: String,
        done: u64,
        all: u64,
    },
    Saved {
        path: String,
    },
    NotSaved {
        file: String,
        reason: String,
    },
    Ended {
        state: String,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        seconds: Option<f64>,
    },
}

/// What an event gives.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Heard {
    pub(super) told: Option<Told>,
    pub(super) turn: Option<Turn>,
}

/// A message after which the record says more.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Turn {
    Begins,
    Ends,
}

pub(super) struct Course {
    pub(super) job: Job,
    /// The number of the attempt that was told last.
    attempt: u32,
    waiting_told: bool,
    node: Option<String>,
    steps: Option<(u64, u64)>,
    /// Its record says that it has ended; what it told before that may still be on its way.
    end_seen: bool,
    pub(super) ended: bool,
}

impl Course {
    pub(super) fn of(job: Job) -> Self {
        Self { job, attempt: 0, waiting_told: false, node: None, steps: None, end_seen: false, ended: false }
    }

    /// What a message about this job says.
    pub(super) fn hear(&mut self, message: &Message) -> Heard {
        if self.ended {
            return Heard::default();
        }
        let told = match message {
            Message::ExecutionCached(cached) if !cached.nodes.is_empty() => {
                Some(Told::Cached { nodes: cached.nodes.len() })
            }
            Message::Executing(executing) => {
                let node = executing.display_node.as_ref().or(executing.node.as_ref());
                node.and_then(|node| self.at(node))
            }
            Message::Progress(progress) => self.progress(progress),
            Message::ProgressState(state) => self.progress_state(state),
            _ => None,
        };
        Heard { told, turn: turn(message) }
    }

    /// What its record says. `all_heard`: nothing that it told before its end is still on its way; without that an end is
    /// believed at the second look.
    pub(super) fn look(&mut self, record: &Record, all_heard: bool) -> Vec<Told> {
        if self.ended {
            return Vec::new();
        }
        let told = [self.waiting(record), self.begun(record), self.ended(record, all_heard)];
        told.into_iter().flatten().collect()
    }

    /// The collector knows nothing of it any more.
    pub(super) fn forget(&mut self) -> Told {
        self.ended = true;
        let reason = "the collector has forgotten it, so what came of it is not known";
        Told::Ended { state: "forgotten".to_owned(), reason: Some(reason.to_owned()), seconds: None }
    }

    fn at(&mut self, node: &str) -> Option<Told> {
        if self.node.as_deref() == Some(node) {
            return None;
        }
        (self.node, self.steps) = (Some(node.to_owned()), None);
        let label = self.job.labels.get(node).cloned().unwrap_or_default();
        Some(Told::Node { node: node.to_owned(), label })
    }

    fn progress(&mut self, progress: &Progress) -> Option<Told> {
        let node = progress.node.clone().or_else(|| self.node.clone())?;
        self.steps(node, &progress.value, &progress.max)
    }

    /// Of the nodes that run, the last is the innermost.
    fn progress_state(&mut self, state: &ProgressState) -> Option<Told> {
        let runs = |node: &NodeProgress| node.state == "running";
        let (id, node) = state.nodes.iter().rfind(|(_, node)| runs(node))?;
        let id = node.display_node_id.clone().unwrap_or_else(|| id.clone());
        self.steps(id, &node.value, &node.max)
    }

    /// A node of one step has none to show.
    fn steps(&mut self, node: String, value: &Number, max: &Number) -> Option<Told> {
        let (done, all) = (value.as_f64()? as u64, max.as_f64()? as u64);
        if all <= 1 || self.steps == Some((done, all)) {
            return None;
        }
        self.steps = Some((done, all));
        Some(Told::Steps { node, done, all })
    }

    /// Once: what speaks against a backend may change at every look.
    fn waiting(&mut self, record: &Record) -> Option<Told> {
        let verdicts = record.why_waiting.as_ref().filter(|_| !self.waiting_told)?;
        self.waiting_told = true;
        let why: Vec<String> = verdicts.iter().map(|(id, verdict)| format!("{id}: {verdict}")).collect();
        Some(Told::Waiting { why: why.join("; ") })
    }

    fn begun(&mut self, record: &Record) -> Option<Told> {
        let attempt = record.attempts.last().filter(|attempt| attempt.number > self.attempt)?;
        self.attempt = attempt.number;
        (self.node, self.steps, self.waiting_told) = (None, None, false);
        let (backend, why) = (attempt.backend.clone(), attempt.reason().to_owned());
        Some(Told::Begun { backend, attempt: attempt.number, why })
    }

    fn ended(&mut self, record: &Record, all_heard: bool) -> Option<Told> {
        if !record.has_ended() || !(std::mem::replace(&mut self.end_seen, true) || all_heard) {
            return None;
        }
        self.ended = true;
        let span = record.attempts.last().and_then(|attempt| attempt.dispatched_at.zip(attempt.ended_at));
        let seconds = span.map(|(from, to)| (to - from).as_secs_f64());
        Some(Told::Ended { state: record.state.clone(), reason: record.failure(), seconds })
    }
}

/// `executing` without a node ends every run.
fn turn(message: &Message) -> Option<Turn> {
    match message {
        Message::ExecutionStart(_) => Some(Turn::Begins),
        Message::Executing(executing) => executing.node.is_none().then_some(Turn::Ends),
        Message::ExecutionSuccess(_) | Message::ExecutionError(_) | Message::ExecutionInterrupted(_) => {
            Some(Turn::Ends)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn course() -> Course {
        let labels = IndexMap::from([("3".to_owned(), "KSampler".to_owned())]);
        Course::of(Job { id: "j".into(), name: "f.json".into(), labels })
    }

    fn heard(course: &mut Course, kind: &str, data: Value) -> Value {
        let Heard { told, turn } = course.hear(&Message::of(kind.to_owned(), data));
        json!([told, turn])
    }

    fn seen(course: &mut Course, record: Value) -> Value {
        json!(course.look(&serde_json::from_value(record).unwrap(), true))
    }

    #[test]
    fn events_become_what_there_is_to_show_and_nothing_is_shown_twice() {
        let mut course = course();
        for (kind, data, expected) in [
            ("execution_start", json!({}), json!([null, "begins"])),
            ("execution_cached", json!({"nodes": []}), json!([null, null])),
            ("execution_cached", json!({"nodes": ["1"]}), json!([{"event": "cached", "nodes": 1}, null])),
            (
                "executing",
                json!({"node": "3"}),
                json!([{"event": "node", "node": "3", "label": "KSampler"}, null]),
            ),
            ("executing", json!({"node": "3"}), json!([null, null])),
            (
                "progress",
                json!({"value": 1, "max": 4}),
                json!([{"event": "steps", "node": "3", "done": 1, "all": 4}, null]),
            ),
            ("progress", json!({"value": 1, "max": 4}), json!([null, null])),
            (
                "progress_state",
                json!({"nodes": {"2": {"value": 1, "max": 1, "state": "finished"},
                                 "3": {"value": 2.0, "max": 4.0, "state": "running"}}}),
                json!([{"event": "steps", "node": "3", "done": 2, "all": 4}, null]),
            ),
            (
                "executing",
                json!({"node": "9:1", "display_node": "9"}),
                json!([{"event": "node", "node": "9", "label": ""}, null]),
            ),
            ("progress", json!({"value": 1, "max": 1}), json!([null, null])),
            ("executing", json!({"node": null}), json!([null, "ends"])),
            ("execution_success", json!({}), json!([null, "ends"])),
            ("status", json!({"status": {"exec_info": {"queue_remaining": 0}}}), json!([null, null])),
        ] {
            assert_eq!(heard(&mut course, kind, data.clone()), expected, "{kind} {data}");
        }
    }

    #[test]
    fn records_tell_where_a_job_waits_begins_and_ends_each_once() {
        let mut course = course();
        let waiting = json!({"state": "waiting", "why_waiting": {"a": "is down", "b": "rests"}});
        assert_eq!(
            seen(&mut course, waiting.clone()),
            json!([{"event": "waiting", "why": "a: is down; b: rests"}])
        );
        assert_eq!(seen(&mut course, waiting.clone()), json!([]));
        let first = json!({"number": 1, "backend": "a", "why": "free: nothing to load"});
        let running = json!({"state": "dispatched", "attempts": [first]});
        assert_eq!(
            seen(&mut course, running.clone()),
            json!([{"event": "begun", "backend": "a", "attempt": 1, "why": "free"}])
        );
        assert_eq!(seen(&mut course, running), json!([]));
        let second =
            json!({"number": 2, "backend": "b", "why": "free", "dispatched_at": 1_000, "ended_at": 2_500});
        let ended = json!({"state": "succeeded", "attempts": [first, second]});
        assert_eq!(
            seen(&mut course, ended.clone()),
            json!([{"event": "begun", "backend": "b", "attempt": 2, "why": "free"},
                   {"event": "ended", "state": "succeeded", "seconds": 1.5}])
        );
        assert_eq!(seen(&mut course, ended), json!([]), "it has ended");
        assert_eq!(heard(&mut course, "execution_start", json!({})), json!([null, null]));
    }

    #[test]
    fn a_failed_job_ends_with_the_node_and_its_exception() {
        let status = json!({"status_str": "error", "completed": false, "messages": [["execution_error",
            {"node_id": "3", "node_type": "KSampler", "exception_type": "ValueError", "exception_message": "no"}]]});
        let told = seen(&mut course(), json!({"state": "failed", "status": status}));
        assert_eq!(
            told,
            json!([{"event": "ended", "state": "failed", "reason": "node 3 (KSampler): ValueError: no"}])
        );
    }

    #[test]
    fn an_end_is_shown_after_all_that_was_told_before_it_or_at_the_second_look() {
        let record: Record = serde_json::from_value(json!({"state": "succeeded"})).unwrap();
        let mut course = course();
        assert_eq!(course.look(&record, false), [], "its steps may still be on their way");
        assert_eq!(heard(&mut course, "executing", json!({"node": "3"}))[0]["event"], "node");
        assert_eq!(course.look(&record, false).len(), 1, "its end was never told");
    }
}
