//! What a job's end tells to the address that its submission named: made with the end, and committed with it. Pure.

use serde_json::{Map, Value, json};
use url::Url;

use super::{Change, Job, Results, Summary, execution_error};
use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::limits;

/// What of an exception a receiver is told: neither code nor what the node was given.
const ERROR_KEYS: [&str; 4] = ["node_id", "node_type", "exception_type", "exception_message"];
/// Of an exception's message.
const MESSAGE_CHARS: usize = 4096;

#[derive(Clone, Debug, PartialEq)]
pub struct Notice {
    pub job: JobId,
    pub url: Url,
    /// JSON.
    pub body: String,
    pub at: UnixMillis,
}

impl Notice {
    /// `None` for a change that is no end, and for a job that named no address.
    pub fn of(before: &Job, change: &Change) -> Option<Self> {
        let Change::End { at, outcome, results, .. } = change else { return None };
        let url = before.wishes.webhook.clone()?;
        let summary = Summary::of(results);
        let attempt = before.attempt();
        let mut data = json!({
            "id": before.id, "outcome": outcome, "submitted_at": before.submitted_at, "ended_at": at,
            "attempts": before.attempts,
        });
        let known = [
            ("backend", attempt.map(|attempt| json!(attempt.backend))),
            ("dispatched_at", attempt.map(|attempt| json!(attempt.dispatched_at))),
            ("execution_start", summary.execution_start.map(|at| json!(at))),
            ("execution_end", summary.execution_end.map(|at| json!(at))),
            ("error", execution_error(&results.status).map(brief)),
        ];
        if let Some(data) = data.as_object_mut() {
            data.extend(known.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))));
        }
        let body = with_outputs(data, results, *at);
        Some(Self { job: before.id, url, body, at: *at })
    }
}

/// Outputs that make it too long are left to `/history`, and that they are is said.
fn with_outputs(data: Value, results: &Results, at: UnixMillis) -> String {
    let body = |key: &str, value: Value| {
        let mut data = data.clone();
        if let Some(data) = data.as_object_mut() {
            data.insert(key.to_owned(), value);
        }
        json!({ "type": "job.ended", "timestamp": at.to_rfc3339(), "data": data }).to_string()
    };
    let whole = body("outputs", json!(results.outputs));
    match whole.len() <= limits::WEBHOOK_BODY_BYTES {
        true => whole,
        false => body("outputs_left_out", json!(true)),
    }
}

fn brief(error: &Value) -> Value {
    let of = |key: &&str| Some(((*key).to_owned(), shortened(error.get(*key)?)));
    Value::Object(ERROR_KEYS.iter().filter_map(of).collect::<Map<_, _>>())
}

fn shortened(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => json!(text.chars().take(MESSAGE_CHARS).collect::<String>()),
        None => value.clone(),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::{Attempt, Course, Outcome, State, Wishes};
    use super::*;

    fn job(url: Option<&str>, state: State) -> Job {
        let wishes = Wishes { webhook: url.map(|url| url.parse().unwrap()), ..Wishes::default() };
        Job {
            id: JobId::canonical("00000000-0000-4000-8000-000000000001").unwrap(),
            wishes: Arc::new(wishes),
            submitted_at: UnixMillis(1000),
            attempts: 1,
            state,
            ..Job::for_tests(1)
        }
    }

    fn with_a() -> State {
        let (backend, dispatched_at) = ("a".parse().unwrap(), UnixMillis(2000));
        State::Dispatched(Attempt { number: 1, backend, dispatched_at, prompt_id: None })
    }

    fn end(job: &Job, outcome: Outcome, results: Results) -> Change {
        let attempt = job.attempt().map(|attempt| attempt.number);
        let (results, course) = (Box::new(results), Course::default());
        Change::End { job: job.id, attempt, at: UnixMillis(5000), outcome, results, course }
    }

    fn told(job: &Job, change: &Change) -> Value {
        serde_json::from_str(&Notice::of(job, change).unwrap().body).unwrap()
    }

    #[test]
    fn a_receiver_is_told_what_came_of_the_job_where_and_when() {
        let job = job(Some("https://h/x"), with_a());
        let outputs = json!({"9": {"images": [{"filename": "x.png", "subfolder": "a", "type": "output"}]}});
        let status = json!({"messages": [["execution_start", {"timestamp": 3000}], ["execution_success", {"timestamp": 4000}]]});
        let results =
            Results { outputs: outputs.as_object().cloned().unwrap(), status, ..Results::default() };
        let wanted = json!({"type": "job.ended", "timestamp": "1970-01-01T00:00:05Z", "data": {
            "id": "00000000-0000-4000-8000-000000000001", "outcome": "succeeded", "submitted_at": 1000, "ended_at": 5000,
            "attempts": 1, "backend": "a", "dispatched_at": 2000, "execution_start": 3000, "execution_end": 4000,
            "outputs": outputs,
        }});
        assert_eq!(told(&job, &end(&job, Outcome::Succeeded, results)), wanted);
    }

    #[test]
    fn of_a_failure_it_is_told_the_exception_and_nothing_of_the_code_or_the_inputs() {
        let job = job(Some("https://h/x"), with_a());
        let long = "x".repeat(10_000);
        let error = json!({"node_id": "2", "node_type": "K", "exception_type": "E", "exception_message": long,
                           "traceback": ["secret"], "current_inputs": {"text": ["secret"]}});
        let results =
            Results { status: json!({"messages": [["execution_error", error]]}), ..Results::default() };
        let told = told(&job, &end(&job, Outcome::Failed, results));
        let wanted = json!({"node_id": "2", "node_type": "K", "exception_type": "E",
                            "exception_message": "x".repeat(MESSAGE_CHARS)});
        assert_eq!((&told["data"]["outcome"], &told["data"]["error"]), (&json!("failed"), &wanted));
        assert!(!told.to_string().contains("secret"), "{told}");
    }

    #[test]
    fn a_job_that_never_ran_has_no_backend_and_what_is_too_long_is_left_out() {
        let waiting = job(Some("https://h/x"), State::Waiting);
        let told = told(&waiting, &end(&waiting, Outcome::Cancelled, Results::default()));
        assert_eq!((told["data"].get("backend"), &told["data"]["outputs"]), (None, &json!({})));
        let text = "x".repeat(limits::WEBHOOK_BODY_BYTES);
        let outputs = json!({"1": {"text": [text]}}).as_object().cloned().unwrap();
        let change = end(&waiting, Outcome::Succeeded, Results { outputs, ..Results::default() });
        let body = Notice::of(&waiting, &change).unwrap().body;
        assert!(body.len() < 1000 && body.contains("\"outputs_left_out\":true"), "{body}");
    }

    #[test]
    fn nobody_is_told_of_what_is_no_end_and_of_a_job_that_named_nobody() {
        let job = job(Some("https://h/x"), State::Waiting);
        let dispatch = Change::Dispatch {
            job: job.id,
            backend: "a".parse().unwrap(),
            at: UnixMillis(1),
            why: String::new(),
        };
        assert_eq!(Notice::of(&job, &dispatch), None);
        let unnamed = super::tests::job(None, State::Waiting);
        assert_eq!(Notice::of(&unnamed, &end(&unnamed, Outcome::Cancelled, Results::default())), None);
    }
}
