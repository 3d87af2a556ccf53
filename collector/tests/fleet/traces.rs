//! Traces: one a job, whatever becomes of it, as an OpenTelemetry receiver gets them; and a receiver that takes none harms
//! nothing.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, Span};
use prost::Message;
use sim::{Comfy, Generation};

use super::client::Client;
use super::program::{Program, configuration};
use super::prompts::{failing, picture};
use super::receiver::{Receiver, Reply};
use super::stage::{BOTH, Stage, comfy, takes_jobs};
use super::wait::until;

async fn traced(comfys: Vec<Comfy>, receiver: &str) -> Stage {
    let receiver = receiver.parse().unwrap();
    let stage = Stage::before(comfys, |config| config.traces = Some(receiver)).await;
    stage.all_take_jobs().await;
    stage
}

/// The real program.
async fn program(comfys: &[Comfy], state: &std::path::Path, receiver: &str) -> Program {
    let text = format!("traces_url = '{receiver}'\n{}", configuration(comfys));
    let program = Program::configured(&text, state).await;
    takes_jobs(&program.client, "a", true).await;
    program
}

/// All that was taken.
fn told(receiver: &Receiver) -> Vec<ResourceSpans> {
    let requests = receiver.taken().into_iter().map(|taken| {
        assert_eq!(
            (taken.path.as_str(), taken.header("content-type")),
            ("/hook/secret/v1/traces", "application/x-protobuf")
        );
        ExportTraceServiceRequest::decode(taken.body).unwrap()
    });
    requests.flat_map(|request| request.resource_spans).collect()
}

fn spans_of(receiver: &Receiver, job: &str) -> Vec<Span> {
    let scopes = told(receiver).into_iter().flat_map(|told| told.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans);
    let id = job.replace('-', "");
    spans.filter(|span| data_encoding::HEXLOWER.encode(&span.trace_id) == id).collect()
}

/// The spans of a job, once they are told.
async fn trace(receiver: &Receiver, job: &str) -> Vec<Span> {
    until("the job's trace is sent", async || Some(spans_of(receiver, job)).filter(|spans| !spans.is_empty()))
        .await
}

/// What happened to the traces of so many jobs.
async fn came(client: &Client, outcome: &str, traces: f64) {
    let series = format!("orchestrator_collector_traces_total{{outcome=\"{outcome}\"}}");
    let is_so = async || client.metric(&series).await.filter(|now| *now >= traces);
    let now = until(&format!("{traces} traces are {outcome}"), is_so).await;
    assert!(now == traces || outcome == "failed", "{now} traces are {outcome}");
}

fn names(spans: &[Span]) -> Vec<&str> {
    spans.iter().map(|span| span.name.as_str()).collect()
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let pair = attributes.iter().find(|pair| pair.key == key)?;
    match pair.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        other => panic!("{key} is {other:?}"),
    }
}

fn of(span: &Span, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

fn error(span: &Span) -> Option<&str> {
    span.status.as_ref().map(|status| status.message.as_str())
}

#[tokio::test]
async fn a_job_that_succeeded_is_one_trace_with_the_times_that_its_page_tells() {
    for generation in BOTH {
        let receiver = Receiver::start(&[]).await;
        let stage = traced(vec![comfy(generation).await], &receiver.url).await;
        let id = stage.client.submit(&picture(7)).await;
        let spans = trace(&receiver, &id).await;
        let job = stage.client.job(&id).await;
        let at = |time: &serde_json::Value| time.as_u64().unwrap() * 1_000_000;
        let attempt = &job["attempts"][0];
        let [submitted, sent, began, stepped, ended] = [
            at(&job["submitted_at"]),
            at(&attempt["dispatched_at"]),
            at(&attempt["started_at"]),
            at(&attempt["first_step_at"]),
            at(&job["ended_at"]),
        ];
        let times = |span: &Span| (span.name.clone(), span.start_time_unix_nano, span.end_time_unix_nano);
        let wanted = [
            ("job", submitted, ended),
            ("wait", submitted, sent),
            ("attempt", sent, ended),
            ("send", sent, began),
            ("load", began, stepped),
            ("run", stepped, ended),
        ];
        let wanted = wanted.map(|(name, from, to)| (name.to_owned(), from, to));
        assert_eq!(spans.iter().map(times).collect::<Vec<_>>(), wanted);
        let (whole, attempt) = (&spans[0], &spans[2]);
        assert!(
            whole.parent_span_id.is_empty()
                && spans[1..3].iter().all(|span| span.parent_span_id == whole.span_id)
        );
        assert!(spans[3..].iter().all(|span| span.parent_span_id == attempt.span_id));
        assert_eq!((whole.kind(), attempt.kind()), (SpanKind::Server, SpanKind::Client));
        assert_eq!(of(whole, "orchestrator.job.outcome").as_deref(), Some("succeeded"));
        assert_eq!(of(attempt, "orchestrator.backend").as_deref(), Some("a"));
        assert!(
            of(attempt, "orchestrator.attempt.why").is_some_and(|why| !why.contains("; ")),
            "{attempt:?}"
        );
        assert!(spans.iter().all(|span| error(span).is_none()), "{spans:?}");
        came(&stage.client, "sent", 1.0).await;
    }
}

#[tokio::test]
async fn a_receiver_is_told_who_tells_and_nothing_of_the_prompt_or_the_client() {
    let receiver = Receiver::start(&[]).await;
    let stage = traced(vec![comfy(Generation::V0_8).await], &receiver.url).await;
    let client = stage.another("a-client-of-its-own");
    let id = client.submit(&picture(7)).await;
    trace(&receiver, &id).await;
    let resource = told(&receiver).remove(0).resource.unwrap();
    let named = |key| attribute(&resource.attributes, key);
    assert_eq!(named("service.name").as_deref(), Some("orchestrator-collector"));
    assert_eq!(named("service.version").as_deref(), Some(env!("CARGO_PKG_VERSION")));
    let port = stage.client.url.rsplit(':').next().unwrap();
    assert!(named("service.instance.id").is_some_and(|id| id.ends_with(&format!(":{port}"))), "{resource:?}");
    let told = format!("{:?}", told(&receiver));
    for hidden in ["a-client-of-its-own", "SimSampler", "filename_prefix"] {
        assert!(!told.contains(hidden), "{hidden} is told: {told}");
    }
}

#[tokio::test]
async fn a_job_that_failed_is_an_error_with_its_exception_and_one_taken_out_of_the_queue_is_none() {
    let receiver = Receiver::start(&[]).await;
    let stage = traced(vec![comfy(Generation::V0_8).await], &receiver.url).await;
    let failed = stage.client.submit(&failing("value")).await;
    let spans = trace(&receiver, &failed).await;
    let history = stage.client.ended(&failed).await;
    let exception = history["status"]["messages"].as_array().unwrap().last().unwrap()[1].clone();
    for span in spans.iter().filter(|span| matches!(span.name.as_str(), "job" | "attempt")) {
        assert_eq!(error(span), exception["exception_message"].as_str(), "{span:?}");
        assert_eq!(of(span, "error.type").as_deref(), exception["exception_type"].as_str());
    }
    assert_eq!(of(&spans[0], "orchestrator.job.outcome").as_deref(), Some("failed"));
    stage.comfys[0].hold();
    let _runs = stage.client.submit(&picture(1)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    let waits = stage.client.submit(&picture(2)).await;
    stage.client.post("/queue", &serde_json::json!({"delete": [waits]})).await;
    let spans = trace(&receiver, &waits).await;
    assert_eq!((names(&spans), error(&spans[0])), (vec!["job", "wait"], None));
    assert_eq!(of(&spans[0], "orchestrator.job.outcome").as_deref(), Some("cancelled"));
}

#[tokio::test]
async fn a_job_whose_backend_died_is_one_trace_with_two_attempts() {
    let receiver = Receiver::start(&[]).await;
    let stage =
        traced(vec![comfy(Generation::V0_8).await, comfy(Generation::V0_8).await], &receiver.url).await;
    stage.comfys[0].hold();
    let id = stage.client.submit(&picture(7)).await;
    stage.comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    stage.comfys[0].kill().await;
    let spans = trace(&receiver, &id).await;
    let of_job = spans.iter().filter(|span| span.parent_span_id == spans[0].span_id);
    let order: Vec<&Span> = of_job.collect();
    assert_eq!(
        order.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(),
        ["wait", "attempt", "wait", "attempt"]
    );
    assert!(order.windows(2).all(|pair| pair[0].end_time_unix_nano == pair[1].start_time_unix_nano));
    let tried = [order[1], order[3]]
        .map(|span| (of(span, "orchestrator.backend"), of(span, "orchestrator.attempt.number")));
    assert_eq!(tried, [("a", "1"), ("b", "2")].map(|(a, b)| (Some(a.to_owned()), Some(b.to_owned()))));
    assert!(error(order[1]).is_some_and(|why| why.contains("its process is gone")), "{:?}", order[1]);
    assert_eq!((error(order[3]), error(&spans[0])), (None, None));
    assert_eq!(of(&spans[0], "orchestrator.job.attempts").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_job_that_outlived_the_collector_is_one_trace_from_its_submission_on() {
    let receiver = Receiver::start(&[]).await;
    let (comfys, state) = ([comfy(Generation::V0_8).await], tempfile::tempdir().unwrap());
    let first = program(&comfys, state.path(), &receiver.url).await;
    comfys[0].hold();
    let id = first.client.submit(&picture(7)).await;
    comfys[0].wait_for(|state| state.waits_at_gate).await.unwrap();
    first.kill();
    let second = program(&comfys, state.path(), &receiver.url).await;
    comfys[0].release();
    let spans = trace(&receiver, &id).await;
    let job = second.client.job(&id).await;
    let times = [("job", &job["submitted_at"]), ("attempt", &job["attempts"][0]["dispatched_at"])];
    for (name, from) in times {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        assert_eq!(span.start_time_unix_nano, from.as_u64().unwrap() * 1_000_000, "{name}");
    }
    assert_eq!(names(&spans).iter().filter(|name| **name == "attempt").count(), 1);
}

#[tokio::test]
async fn a_receiver_that_is_busy_is_asked_again_until_it_takes_all() {
    let receiver = Receiver::start(&[Reply::Status(503), Reply::Status(429)]).await;
    let stage = traced(vec![comfy(Generation::V0_8).await], &receiver.url).await;
    let first = stage.client.submit(&picture(1)).await;
    stage.client.succeeded(&first).await;
    came(&stage.client, "failed", 1.0).await;
    // While it is busy others end as ever.
    let second = stage.client.submit(&picture(2)).await;
    stage.client.succeeded(&second).await;
    came(&stage.client, "sent", 2.0).await;
    for id in [first, second] {
        assert!(!spans_of(&receiver, &id).is_empty());
    }
    came(&stage.client, "given_up", 0.0).await;
}

#[tokio::test]
async fn what_a_receiver_refuses_is_given_up_and_counted_and_the_next_is_sent() {
    let receiver = Receiver::start(&[Reply::Status(400), Reply::Redirect]).await;
    let stage = traced(vec![comfy(Generation::V0_8).await], &receiver.url).await;
    for refused in [1.0, 2.0] {
        let id = stage.client.submit(&picture(refused as u64)).await;
        stage.client.succeeded(&id).await;
        came(&stage.client, "given_up", refused).await;
    }
    stage.client.submit(&picture(3)).await;
    came(&stage.client, "sent", 1.0).await;
    assert_eq!(receiver.taken().len(), 3);
}

#[tokio::test]
async fn a_receiver_that_is_not_there_loses_no_job_and_the_log_tells_of_it_once() {
    let (comfys, state) = ([comfy(Generation::V0_8).await], tempfile::tempdir().unwrap());
    // Below the ports that are given out.
    let program = program(&comfys, state.path(), "http://127.0.0.1:9").await;
    let first = program.client.submit(&picture(0)).await;
    program.client.succeeded(&first).await;
    // A second after it was told.
    came(&program.client, "failed", 2.0).await;
    for seed in 1..8 {
        let id = program.client.submit(&picture(seed)).await;
        program.client.succeeded(&id).await;
    }
    let lines = program.lines();
    let told: Vec<&String> = lines.iter().filter(|line| line.contains("traces")).collect();
    assert!(told.len() == 1 && told[0].contains("WARN") && told[0].contains("cannot be reached"), "{told:?}");
    assert_eq!(program.stop().await, 0);
}

#[tokio::test]
async fn what_has_ended_when_the_collector_stops_is_still_sent() {
    let receiver = Receiver::start(&[]).await;
    let (comfys, state) = ([comfy(Generation::V0_8).await], tempfile::tempdir().unwrap());
    let program = program(&comfys, state.path(), &receiver.url).await;
    let id = program.client.submit(&picture(7)).await;
    program.client.succeeded(&id).await;
    assert_eq!(program.stop().await, 0);
    assert_eq!(names(&spans_of(&receiver, &id))[0], "job");
}

#[tokio::test]
async fn a_receiver_that_hangs_holds_up_neither_jobs_nor_the_end() {
    let receiver = Receiver::start(&[Reply::Never; 8]).await;
    let (comfys, state) = ([comfy(Generation::V0_8).await], tempfile::tempdir().unwrap());
    let program = program(&comfys, state.path(), &receiver.url).await;
    for seed in 0..8 {
        let id = program.client.submit(&picture(seed)).await;
        program.client.succeeded(&id).await;
    }
    receiver.takes(1).await;
    let began = std::time::Instant::now();
    assert_eq!(program.stop().await, 0);
    assert!(began.elapsed() < std::time::Duration::from_secs(20), "systemd would have killed it");
}
