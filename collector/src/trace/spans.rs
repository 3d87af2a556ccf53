//! What a job's trace looks like. Pure.
//!
//! ```text
//! job                              submitted → ended
//! ├─ wait                          submitted, or the end of the attempt before → sent to a backend
//! └─ attempt                       sent → ended, or lost
//!    ├─ send                       sent → its backend began: files, the prompt, what was before it there
//!    ├─ load                       its backend began → first step
//!    └─ run                        first step, or its backend began → ended
//! ```
//!
//! A span whose times are not known is absent. The trace's id is the job's: who has one finds the other, and whoever tells
//! of a job twice tells the same.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span, Status};
use uuid::Uuid;

use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::job::{Outcome, Standing};
use crate::limits;
use crate::queue::{AttemptRecord, ListedJob};

/// All spans of a job that has ended, the first one that of the whole. None of one that has not, or whose id is zero, which
/// no trace's may be.
pub(super) fn spans(job: &ListedJob, attempts: &[AttemptRecord]) -> Vec<Span> {
    let (Standing::Ended(outcome), Some(ended_at)) = (job.standing, job.ended_at) else { return Vec::new() };
    if Uuid::from(job.id).is_nil() {
        return Vec::new();
    }
    let mut trace = Trace { job: job.id, spans: Vec::new() };
    let error = (outcome == Outcome::Failed).then(|| Error::of(job));
    let whole = trace.add(None, "job", SpanKind::Server, job.submitted_at, ended_at);
    trace.mark(about_job(job, outcome), error.as_ref());
    let left_out = attempts.len().saturating_sub(limits::TRACE_ATTEMPTS);
    let (before, told) = attempts.split_at(left_out);
    let mut waits_since = before.last().map_or(Some(job.submitted_at), |last| last.ended_at);
    for attempt in told {
        trace.wait(&whole, waits_since, attempt.dispatched_at);
        trace.attempt(&whole, attempt, ended_at, error.as_ref());
        waits_since = attempt.ended_at;
    }
    if !attempts.last().is_some_and(ends_job) {
        trace.wait(&whole, waits_since, ended_at);
    }
    trace.spans
}

/// Why a span is one of an error.
struct Error {
    kind: Option<String>,
    told: String,
}

impl Error {
    /// The exception of a job that failed.
    fn of(job: &ListedJob) -> Self {
        let of = |key| Some(job.execution_error.as_ref()?.get(key)?.as_str()?.to_owned());
        Self { kind: of("exception_type"), told: of("exception_message").unwrap_or_default() }
    }
}

struct Trace {
    job: JobId,
    spans: Vec<Span>,
}

type SpanId = Vec<u8>;

impl Trace {
    fn add(
        &mut self,
        parent: Option<&SpanId>,
        name: &str,
        kind: SpanKind,
        from: UnixMillis,
        to: UnixMillis,
    ) -> SpanId {
        let span_id = self.next_id();
        self.spans.push(Span {
            trace_id: Uuid::from(self.job).as_bytes().to_vec(),
            span_id: span_id.clone(),
            parent_span_id: parent.cloned().unwrap_or_default(),
            name: name.to_owned(),
            kind: kind.into(),
            start_time_unix_nano: nanos(from),
            // The clock of one start of this program may be behind that of another.
            end_time_unix_nano: nanos(to.max(from)),
            ..Span::default()
        });
        span_id
    }

    /// The latter half of the job's id, so that those of other traces are others, its last bits a number from one: far more than
    /// [`limits::TRACE_ATTEMPTS`] have. Zero may not be one.
    fn next_id(&self) -> SpanId {
        const NUMBER: u64 = 0xfff;
        let (_, half) = Uuid::from(self.job).as_u64_pair();
        ((half & !NUMBER) | ((self.spans.len() as u64 + 1) & NUMBER)).to_be_bytes().to_vec()
    }

    /// Says more of the span that was added last.
    fn mark(&mut self, attributes: Vec<KeyValue>, error: Option<&Error>) {
        let Some(span) = self.spans.last_mut() else { return };
        span.attributes = attributes;
        let Some(Error { kind, told }) = error else { return };
        span.attributes.extend(kind.as_ref().map(|kind| text("error.type", kind)));
        span.status = Some(Status { message: bounded(told), code: StatusCode::Error.into() });
    }

    fn wait(&mut self, whole: &SpanId, since: Option<UnixMillis>, until: UnixMillis) {
        if let Some(since) = since {
            self.add(Some(whole), "wait", SpanKind::Internal, since, until);
        }
    }

    fn attempt(
        &mut self,
        whole: &SpanId,
        attempt: &AttemptRecord,
        job_ended_at: UnixMillis,
        job_error: Option<&Error>,
    ) {
        let (sent_at, ended_at) = (attempt.dispatched_at, attempt.ended_at.unwrap_or(job_ended_at));
        let own = self.add(Some(whole), "attempt", SpanKind::Client, sent_at, ended_at);
        let lost = lost(attempt);
        self.mark(about_attempt(attempt), if ends_job(attempt) { job_error } else { lost.as_ref() });
        let Some(began_at) = attempt.course.started_at else { return };
        let mut part = |name, from, to| drop(self.add(Some(&own), name, SpanKind::Internal, from, to));
        part("send", sent_at, began_at);
        match attempt.course.first_step_at {
            Some(first_step_at) => {
                part("load", began_at, first_step_at);
                part("run", first_step_at, ended_at);
            }
            None => part("run", began_at, ended_at),
        }
    }
}

/// Why the job waited again after it.
fn lost(attempt: &AttemptRecord) -> Option<Error> {
    let told = attempt.ending.clone().filter(|_| !ends_job(attempt))?;
    Some(Error { kind: None, told })
}

/// The last attempt's ending is the job's.
fn ends_job(attempt: &AttemptRecord) -> bool {
    attempt.ending.as_deref().is_some_and(|ending| ending.parse::<Standing>().is_ok())
}

fn about_job(job: &ListedJob, outcome: Outcome) -> Vec<KeyValue> {
    let models: Vec<AnyValue> = job.needs.models().0.iter().map(|name| any(string(name))).collect();
    let known = [
        Some(text("orchestrator.job.id", &job.id.to_string())),
        Some(text("orchestrator.job.outcome", outcome.as_str())),
        Some(number("orchestrator.job.attempts", job.attempts)),
        job.owner.as_ref().map(|owner| text("orchestrator.job.owner", owner)),
        (!models.is_empty())
            .then(|| attribute("orchestrator.job.models", Value::ArrayValue(ArrayValue { values: models }))),
    ];
    known.into_iter().flatten().collect()
}

/// Of why it went there the reasons for this backend, which stand before those against each other one.
fn about_attempt(attempt: &AttemptRecord) -> Vec<KeyValue> {
    let why = attempt.why.split("; ").next().filter(|why| !why.is_empty());
    let known = [
        Some(number("orchestrator.attempt.number", attempt.number)),
        Some(text("orchestrator.backend", attempt.backend.as_str())),
        why.map(|why| text("orchestrator.attempt.why", why)),
    ];
    known.into_iter().flatten().collect()
}

pub(super) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, string(value))
}

fn number(key: &str, value: u32) -> KeyValue {
    attribute(key, Value::IntValue(value.into()))
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(any(value)), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

fn string(text: &str) -> Value {
    Value::StringValue(bounded(text))
}

fn bounded(text: &str) -> String {
    text.chars().take(limits::TRACE_TEXT_CHARS).collect()
}

fn nanos(at: UnixMillis) -> u64 {
    at.0.saturating_mul(1_000_000)
}

#[cfg(test)]
mod tests;
