//! One batch of traces, sent once: a protobuf of OTLP, posted as its specification says (OTLP/HTTP).

use std::time::Duration;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use reqwest::StatusCode;
use url::Url;

use super::spans::text;
use crate::limits;

/// Where OTLP takes traces.
const PATH: &str = "v1/traces";
const SERVICE: &str = "orchestrator-collector";
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Why a batch was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{told}")]
pub(super) struct Failure {
    told: String,
    /// It may be taken later.
    pub(super) is_passing: bool,
}

/// Who tells.
pub(super) struct Resource(Vec<KeyValue>);

impl Resource {
    /// An instance is called by its host and port, as Prometheus calls it.
    pub(super) fn of_this_program(port: u16) -> Self {
        let named = [text("service.name", SERVICE), text("service.version", VERSION)];
        // A host always has one; where it cannot be read the instance is unknown.
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
        let instance = host.map(|host| text("service.instance.id", &format!("{}:{port}", host.trim())));
        Self(named.into_iter().chain(instance).collect())
    }
}

pub(super) struct Sender {
    http: reqwest::Client,
    url: Url,
    resource: Resource,
}

impl Sender {
    pub(super) fn new(http: reqwest::Client, receiver: &Url, resource: Resource) -> Self {
        Self { http, url: endpoint(receiver), resource }
    }

    /// As it is sent.
    pub(super) fn encoded(&self, spans: Vec<Span>) -> Bytes {
        let scope =
            InstrumentationScope { name: SERVICE.into(), version: VERSION.into(), ..Default::default() };
        let scope_spans = vec![ScopeSpans { scope: Some(scope), spans, ..Default::default() }];
        let resource = v1::Resource { attributes: self.resource.0.clone(), ..Default::default() };
        let told = ResourceSpans { resource: Some(resource), scope_spans, ..Default::default() };
        ExportTraceServiceRequest { resource_spans: vec![told] }.encode_to_vec().into()
    }

    pub(super) async fn send(&self, body: Bytes) -> Result<(), Failure> {
        let request = self.http.post(self.url.clone()).timeout(limits::TRACES_SENT_WITHIN);
        let request = request
            .header("content-type", "application/x-protobuf")
            .header("user-agent", concat!("orchestrator-collector/", env!("CARGO_PKG_VERSION")));
        match request.body(body).send().await {
            Ok(answer) => judged(answer.status()),
            Err(error) => Err(unreachable(&error)),
        }
    }
}

/// Below the receiver's address, unless it was given whole.
fn endpoint(receiver: &Url) -> Url {
    let mut url = receiver.clone();
    match receiver.path().trim_end_matches('/') {
        path if path.ends_with(PATH) => url.set_path(path),
        path => url.set_path(&format!("{path}/{PATH}")),
    }
    url
}

/// Which answers mean that it may be sent again stands in OTLP's specification.
fn judged(status: StatusCode) -> Result<(), Failure> {
    if status.is_success() {
        return Ok(());
    }
    let is_passing = matches!(
        status,
        StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT
    );
    Err(Failure { told: format!("the receiver answered {}", status.as_u16()), is_passing })
}

fn unreachable(error: &reqwest::Error) -> Failure {
    let told = match error.is_timeout() {
        true => format!("the receiver did not answer within {}", seconds(limits::TRACES_SENT_WITHIN)),
        false => format!("the receiver cannot be reached: {}", innermost(error)),
    };
    Failure { told, is_passing: true }
}

fn seconds(span: Duration) -> String {
    format!("{} s", span.as_secs())
}

fn innermost(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(cause) => innermost(cause),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traces_go_to_their_path_below_the_receivers_address() {
        for (receiver, wanted) in [
            ("http://h:4318", "http://h:4318/v1/traces"),
            ("http://h:4318/", "http://h:4318/v1/traces"),
            ("https://h/otlp", "https://h/otlp/v1/traces"),
            ("https://h/otlp/", "https://h/otlp/v1/traces"),
            ("https://h/otlp/v1/traces", "https://h/otlp/v1/traces"),
            ("https://h/otlp/v1/traces/", "https://h/otlp/v1/traces"),
        ] {
            assert_eq!(endpoint(&receiver.parse().unwrap()).as_str(), wanted);
        }
    }

    #[test]
    fn a_receiver_that_is_busy_is_asked_again_and_one_that_refuses_is_not() {
        let judged = |code| judged(StatusCode::from_u16(code).unwrap()).map_err(|failure| failure.is_passing);
        for (code, wanted) in [
            (200, Ok(())),
            (202, Ok(())),
            (307, Err(false)),
            (400, Err(false)),
            (401, Err(false)),
            (404, Err(false)),
            (429, Err(true)),
            (500, Err(false)),
            (502, Err(true)),
            (503, Err(true)),
            (504, Err(true)),
        ] {
            assert_eq!(judged(code), wanted, "{code}");
        }
    }
}
