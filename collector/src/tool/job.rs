//! `job`: one job, where it stands, where it was tried and why, and what came of it.

use comfyui::api::FileRef;
use serde_json::Value;

use super::ending::ClientError;
use super::output::{self, pretty};
use super::quantity::{ago, took};
use super::record::{Attempt, Record, Webhook};
use super::server::Server;
use super::table::{Cell, pairs, table};
use crate::clock::{Clock, UnixMillis};
use crate::config::JobFlags;

pub(super) async fn job(flags: JobFlags) -> Result<u8, ClientError> {
    let server = Server::of(&flags.server)?;
    let document = server.job(&flags.id).await?;
    if flags.json {
        output::print(&pretty(&document)?)?;
        return Ok(0);
    }
    let record: Record = server.read("read a job", &document)?;
    output::print_styled(&shown(&record, flags.why, Clock::start().now()))?;
    Ok(0)
}

/// Sections that have nothing to say are left out.
fn shown(job: &Record, why: bool, now: UnixMillis) -> String {
    let sections = [head(job, now), attempts(job, why), verdicts(job), files(job)];
    let told: Vec<String> = sections.into_iter().filter(|section| !section.is_empty()).collect();
    told.join("\n")
}

fn head(job: &Record, now: UnixMillis) -> String {
    let span = job.submitted_at.zip(job.ended_at).map(|(from, to)| Cell::of(took(to - from)));
    let models = (!job.models.is_empty()).then(|| Cell::of(job.models.join(", ")));
    let rows = [
        ("job", Some(Cell::of(&job.id))),
        ("state", Some(Cell::state(&job.state))),
        ("submitted", job.submitted_at.map(|at| Cell::of(ago(now - at)))),
        ("took", span),
        ("models", models),
        ("asks for", wishes(job).map(Cell::of)),
        ("webhook", job.webhook.as_ref().map(|webhook| Cell::of(told(webhook)))),
        ("failure", job.failure().map(Cell::of)),
    ];
    let known: Vec<_> = rows.into_iter().filter_map(|(name, cell)| Some((name, cell?))).collect();
    pairs(&known)
}

fn wishes(job: &Record) -> Option<String> {
    let shown = job.wishes.iter().map(|(field, value)| match value {
        Value::String(text) => format!("{field} {text}"),
        Value::Array(values) => {
            format!("{field} {}", values.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" "))
        }
        other => format!("{field} {other}"),
    });
    let shown: Vec<String> = shown.collect();
    (!shown.is_empty()).then(|| shown.join(", "))
}

fn told(webhook: &Webhook) -> String {
    let Webhook { receiver, state, attempts, error } = webhook;
    let error = error.as_deref().map(|error| format!(": {error}")).unwrap_or_default();
    format!("{} to {receiver}, sent {attempts} times{error}", state.replace('_', " "))
}

fn attempts(job: &Record, why: bool) -> String {
    if job.attempts.is_empty() {
        return String::new();
    }
    let rows: Vec<_> = job.attempts.iter().map(|attempt| row(attempt, why)).collect();
    table(["ATTEMPT", "BACKEND", "ENDED", "TOOK", "WHY THERE"], &rows)
}

fn row(attempt: &Attempt, why: bool) -> [Cell; 5] {
    let span = attempt.dispatched_at.zip(attempt.ended_at).map(|(from, to)| took(to - from));
    [
        Cell::of(attempt.number.to_string()),
        Cell::of(&attempt.backend),
        Cell::known(ending(attempt)),
        Cell::known(span),
        Cell::of(if why { &attempt.why } else { attempt.reason() }),
    ]
}

fn ending(attempt: &Attempt) -> Option<String> {
    match &attempt.ending {
        serde_json::Value::Null => None,
        serde_json::Value::String(word) => Some(word.clone()),
        other => Some(other.to_string()),
    }
}

fn verdicts(job: &Record) -> String {
    let rows: Vec<_> =
        job.why_waiting.iter().flatten().map(|(id, verdict)| [Cell::of(id), Cell::of(verdict)]).collect();
    if rows.is_empty() { String::new() } else { table(["BACKEND", "SAYS TO THE WAITING JOB"], &rows) }
}

fn files(job: &Record) -> String {
    let row =
        |(node, file): (&str, FileRef)| [Cell::of(node), Cell::of(file.kind.clone()), Cell::of(path(&file))];
    let rows: Vec<_> = job.files().map(row).collect();
    if rows.is_empty() { String::new() } else { table(["NODE", "KIND", "FILE"], &rows) }
}

fn path(file: &FileRef) -> String {
    let slash = if file.subfolder.is_empty() { "" } else { "/" };
    format!("{}{slash}{}", file.subfolder, file.filename)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(document: Value, why: bool) -> String {
        let record = serde_json::from_value(document).unwrap();
        anstream::adapter::strip_str(&shown(&record, why, UnixMillis(10_000))).to_string()
    }

    #[test]
    fn a_waiting_job_shows_what_each_backend_says() {
        let document = json!({"id": "j", "state": "waiting", "submitted_at": 7_000, "models": ["m.safetensors"],
            "attempts": [], "why_waiting": {"a": "is down", "b": "lacks m.safetensors"}});
        let expected = "\
job        j
state      waiting
submitted  3 s ago
models     m.safetensors

BACKEND  SAYS TO THE WAITING JOB
a        is down
b        lacks m.safetensors
";
        assert_eq!(text(document, false), expected);
    }

    #[test]
    fn an_ended_job_shows_its_attempts_and_files_and_the_reasons_in_full_when_asked() {
        let document = json!({"id": "j", "state": "failed", "submitted_at": 1_000, "ended_at": 3_500,
            "attempts": [{"number": 1, "backend": "a", "why": "it fits: load 2.0 s", "dispatched_at": 1_000,
                          "ended_at": 2_000, "ending": "failed"}],
            "outputs": {"9": {"images": [{"filename": "x.png", "subfolder": "a", "type": "output"}]}},
            "status": {"status_str": "error", "completed": false, "messages": [["execution_error",
                {"node_id": "2", "node_type": "K", "exception_type": "ValueError", "exception_message": "no\\n"}]]}});
        let short = text(document.clone(), false);
        for wanted in [
            "took       2.5 s\n",
            "failure    node 2 (K): ValueError: no",
            "1        a        failed  1.0 s  it fits\n",
            "9     output  a/x.png\n",
        ] {
            assert!(short.contains(wanted), "{wanted} in\n{short}");
        }
        assert!(text(document, true).contains("1.0 s  it fits: load 2.0 s\n"));
    }
}
