use serde_json::json;

use super::*;
use crate::job::{Course, Needs, Place, Summary, Wishes};

fn job(outcome: Outcome) -> ListedJob {
    let id = JobId::canonical("0af76519-16cd-43dd-8448-eb211c80319c").unwrap();
    ListedJob {
        id,
        place: Place::new(None, false, 1),
        standing: Standing::Ended(outcome),
        client_id: None,
        owner: None,
        backend: None,
        needs: Needs::default(),
        wishes: Wishes::default(),
        attempts: 0,
        submitted_at: UnixMillis(10),
        ended_at: Some(UnixMillis(100)),
        workflow_id: None,
        summary: Summary::default(),
        execution_error: None,
    }
}

fn attempt(
    number: u32,
    sent: u64,
    ended: Option<(u64, &str)>,
    began: Option<u64>,
    stepped: Option<u64>,
) -> AttemptRecord {
    AttemptRecord {
        number,
        backend: format!("gpu-{number}").parse().unwrap(),
        prompt_id: None,
        dispatched_at: UnixMillis(sent),
        course: Course { started_at: began.map(UnixMillis), first_step_at: stepped.map(UnixMillis) },
        ended_at: ended.map(|(at, _)| UnixMillis(at)),
        ending: ended.map(|(_, ending)| ending.to_owned()),
        why: String::new(),
    }
}

/// `parent/name from..to`, and what went wrong.
fn shown(spans: &[Span]) -> Vec<String> {
    let name_of = |id: &[u8]| spans.iter().find(|span| span.span_id == id).map(|span| span.name.as_str());
    let millis = |nanos: u64| nanos / 1_000_000;
    let line = |span: &Span| {
        let error = span.status.as_ref().map(|status| format!(" !{}", status.message)).unwrap_or_default();
        format!(
            "{}/{} {}..{}{error}",
            name_of(&span.parent_span_id).unwrap_or_default(),
            span.name,
            millis(span.start_time_unix_nano),
            millis(span.end_time_unix_nano)
        )
    };
    spans.iter().map(line).collect()
}

#[test]
fn a_trace_tells_what_is_known_of_a_jobs_course_and_nothing_else() {
    let (succeeded, failed) = (Some((100, "succeeded")), Some((100, "failed")));
    let gone = Some((40, "its process is gone"));
    for (outcome, attempts, wanted) in [
        (
            Outcome::Succeeded,
            vec![attempt(1, 20, succeeded, Some(25), Some(60))],
            &[
                "/job 10..100",
                "job/wait 10..20",
                "job/attempt 20..100",
                "attempt/send 20..25",
                "attempt/load 25..60",
                "attempt/run 60..100",
            ][..],
        ),
        (
            Outcome::Succeeded,
            vec![attempt(1, 20, succeeded, Some(25), None)],
            &[
                "/job 10..100",
                "job/wait 10..20",
                "job/attempt 20..100",
                "attempt/send 20..25",
                "attempt/run 25..100",
            ],
        ),
        (
            Outcome::Failed,
            vec![attempt(1, 20, gone, None, None), attempt(2, 50, failed, Some(55), None)],
            &[
                "/job 10..100 !it is told",
                "job/wait 10..20",
                "job/attempt 20..40 !its process is gone",
                "job/wait 40..50",
                "job/attempt 50..100 !it is told",
                "attempt/send 50..55",
                "attempt/run 55..100",
            ],
        ),
        (Outcome::Cancelled, vec![], &["/job 10..100", "job/wait 10..100"]),
        (
            Outcome::Cancelled,
            vec![attempt(1, 20, gone, None, None)],
            &[
                "/job 10..100",
                "job/wait 10..20",
                "job/attempt 20..40 !its process is gone",
                "job/wait 40..100",
            ],
        ),
        // It was stopped by its client: no error.
        (
            Outcome::Interrupted,
            vec![attempt(1, 20, Some((100, "interrupted")), None, None)],
            &["/job 10..100", "job/wait 10..20", "job/attempt 20..100"],
        ),
        // One start's clock was ahead of the next one's.
        (
            Outcome::Succeeded,
            vec![attempt(1, 20, Some((15, "succeeded")), None, None)],
            &["/job 10..100", "job/wait 10..20", "job/attempt 20..20"],
        ),
    ] {
        let execution_error =
            Some(json!({"exception_type": "ValueError", "exception_message": "it is told"}));
        assert_eq!(shown(&spans(&ListedJob { execution_error, ..job(outcome) }, &attempts)), wanted);
    }
}

#[test]
fn the_trace_of_a_job_has_its_id_and_is_the_same_however_often_it_is_told() {
    let attempts = [attempt(1, 20, Some((100, "succeeded")), Some(30), Some(40))];
    let told = spans(&job(Outcome::Succeeded), &attempts);
    let hex = |id: &[u8]| data_encoding::HEXLOWER.encode(id);
    assert!(told.iter().all(|span| hex(&span.trace_id) == "0af7651916cd43dd8448eb211c80319c"));
    let ids: Vec<String> = told.iter().map(|span| hex(&span.span_id)).collect();
    assert_eq!((ids[0].as_str(), ids[1].as_str()), ("8448eb211c803001", "8448eb211c803002"));
    let distinct: std::collections::HashSet<&String> = ids.iter().collect();
    assert_eq!(distinct.len(), told.len());
    assert_eq!(told, spans(&job(Outcome::Succeeded), &attempts));
}

#[test]
fn there_is_no_trace_of_a_job_that_has_not_ended_or_whose_id_no_trace_may_have() {
    let nil = ListedJob { id: Uuid::nil().into(), ..job(Outcome::Succeeded) };
    let waits = ListedJob { standing: Standing::Waiting, ended_at: None, ..job(Outcome::Succeeded) };
    assert_eq!((spans(&nil, &[]), spans(&waits, &[])), (vec![], vec![]));
}

#[test]
fn spans_say_whose_job_it_was_where_it_ran_and_why_there() {
    let prompt = json!({"1": {"class_type": "VAELoader", "inputs": {"vae_name": "a.safetensors"}}});
    let needs = Needs::of(&serde_json::from_value(prompt).unwrap(), None);
    let error = json!({"exception_type": "ValueError", "exception_message": "x".repeat(10_000), "current_inputs": "secret"});
    let job = ListedJob {
        owner: Some("anna".to_owned()),
        client_id: Some(crate::id::ClientId::new("secret")),
        attempts: 1,
        needs,
        execution_error: Some(error),
        ..job(Outcome::Failed)
    };
    let why = "gpu-1: has its models in VRAM; gpu-2: busy".to_owned();
    let told = spans(&job, &[AttemptRecord { why, ..attempt(1, 20, Some((100, "failed")), None, None) }]);
    let about = |span: &Span| -> Vec<String> {
        let shown = |value: &AnyValue| match value.value.as_ref().unwrap() {
            Value::StringValue(text) => text.clone(),
            Value::IntValue(number) => number.to_string(),
            value => format!("{value:?}"),
        };
        let one = |pair: &KeyValue| match pair.value.as_ref().unwrap() {
            AnyValue { value: Some(Value::ArrayValue(values)) } => {
                format!("{}={:?}", pair.key, values.values.iter().map(shown).collect::<Vec<_>>())
            }
            value => format!("{}={}", pair.key, shown(value)),
        };
        span.attributes.iter().map(one).collect()
    };
    let whole = [
        "orchestrator.job.id=0af76519-16cd-43dd-8448-eb211c80319c",
        "orchestrator.job.outcome=failed",
        "orchestrator.job.attempts=1",
        "orchestrator.job.owner=anna",
        "orchestrator.job.models=[\"a.safetensors\"]",
        "error.type=ValueError",
    ];
    assert_eq!(about(&told[0]), whole);
    let tried = [
        "orchestrator.attempt.number=1",
        "orchestrator.backend=gpu-1",
        "orchestrator.attempt.why=gpu-1: has its models in VRAM",
        "error.type=ValueError",
    ];
    assert_eq!(about(&told[2]), tried);
    assert_eq!(told[0].status.as_ref().unwrap().message.len(), limits::TRACE_TEXT_CHARS);
    assert!(!format!("{told:?}").contains("secret"));
}

#[test]
fn of_very_many_attempts_the_last_are_told() {
    let lost = |number: u32| {
        attempt(number, u64::from(number) * 10, Some((u64::from(number) * 10 + 5, "lost")), None, None)
    };
    let attempts: Vec<_> = (1..=limits::TRACE_ATTEMPTS as u32 + 2).map(lost).collect();
    let told = shown(&spans(&job(Outcome::Cancelled), &attempts));
    assert_eq!(told[1..4], ["job/wait 25..30", "job/attempt 30..35 !lost", "job/wait 35..40"]);
    assert_eq!(told.iter().filter(|line| line.contains("attempt")).count(), limits::TRACE_ATTEMPTS);
}
