//! One request passed on to the collector that leads and its answer back, sockets too. While none leads it waits for the next.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::Refusal;

/// What `Via` says of a request that a collector passed on.
const PASSED_ON: &str = "1.1 orchestrator-collector";
/// Of one connection, not of what is said over it.
const OF_A_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];
/// A body up to this is kept until it is answered, so that it can be sent to the next one that leads.
const KEPT_BYTES: u64 = 16 * 1024 * 1024;
/// How long a request waits for somebody to lead.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN_AFTER: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(super) struct Way {
    http: reqwest::Client,
    pub(super) leader: watch::Receiver<Option<Url>>,
    end: CancellationToken,
}

impl Way {
    pub(super) fn new(
        http: reqwest::Client,
        leader: watch::Receiver<Option<Url>>,
        end: CancellationToken,
    ) -> Self {
        Self { http, leader, end }
    }
}

pub(super) async fn on(State(way): State<Way>, mut request: Request) -> Result<Response, Refusal> {
    if request.headers().get_all(header::VIA).iter().any(|via| via == PASSED_ON) {
        return Err(away("two collectors stand by for each other; see their peer_url"));
    }
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    let ours = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let mut headers = passed_on(&head.headers, upgrade.as_ref());
    headers.append(header::VIA, HeaderValue::from_static(PASSED_ON));
    let answer = match kept(&head, body).await? {
        Kept::Whole(bytes) => way.send_until_heard(&head, headers, bytes).await?,
        Kept::Stream(body) => way.send_once(&head, headers, body).await?,
    };
    match (answer.status(), ours) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(ours)) => Ok(way.join(ours, answer)),
        _ => Ok(answered(answer)),
    }
}

enum Kept {
    Whole(Bytes),
    Stream(Body),
}

async fn kept(head: &request::Parts, body: Body) -> Result<Kept, Refusal> {
    if body.size_hint().exact().is_none_or(|bytes| bytes > KEPT_BYTES) {
        return Ok(Kept::Stream(body));
    }
    let bytes = axum::body::to_bytes(body, usize::MAX).await;
    let bytes = bytes.map_err(|error| {
        Refusal::bad_request("bad_body", format!("the body of {} cannot be read: {error}", head.uri.path()))
    });
    bytes.map(Kept::Whole)
}

impl Way {
    /// Whoever leads: nobody has heard of it while nothing listens there.
    async fn send_until_heard(
        &self,
        head: &request::Parts,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<reqwest::Response, Refusal> {
        let (until, mut leaders) = (Instant::now() + PATIENCE, self.leader.clone());
        loop {
            let leader = leaders.borrow_and_update().clone();
            if let Some(leader) = leader {
                let request = self.http.request(head.method.clone(), at(&leader, head));
                match request.headers(headers.clone()).body(body.clone()).send().await {
                    Err(error) if error.is_connect() => {}
                    sent => return sent.map_err(|error| lost(&error)),
                }
            }
            let again = Instant::now() + AGAIN_AFTER;
            if again > until {
                return Err(away("no collector works on the database; ask again"));
            }
            // Another one, or the same again.
            let _ = timeout_at(again, leaders.changed()).await;
        }
    }

    async fn send_once(
        &self,
        head: &request::Parts,
        headers: HeaderMap,
        body: Body,
    ) -> Result<reqwest::Response, Refusal> {
        let leader = self.leader.borrow().clone();
        let leader = leader.ok_or_else(|| away("no collector works on the database; ask again"))?;
        let body = reqwest::Body::wrap_stream(body.into_data_stream());
        let request = self.http.request(head.method.clone(), at(&leader, head)).headers(headers).body(body);
        request.send().await.map_err(|error| lost(&error))
    }

    /// What either says goes to the other from now on.
    fn join(&self, ours: hyper::upgrade::OnUpgrade, answer: reqwest::Response) -> Response {
        let mut headers = passed_on(answer.headers(), None);
        for name in [header::CONNECTION, header::UPGRADE] {
            headers.extend(answer.headers().get(&name).cloned().map(|value| (name, value)));
        }
        let joined = async move {
            if let (Ok(ours), Ok(mut theirs)) = tokio::join!(ours, answer.upgrade()) {
                // Either end may go at any time.
                let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(ours), &mut theirs).await;
            }
        };
        tokio::spawn(self.end.clone().run_until_cancelled_owned(joined));
        (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
    }
}

fn answered(answer: reqwest::Response) -> Response {
    let (status, headers) = (answer.status(), passed_on(answer.headers(), None));
    (status, headers, Body::from_stream(answer.bytes_stream())).into_response()
}

fn at(leader: &Url, head: &request::Parts) -> Url {
    let mut url = leader.clone();
    url.set_path(head.uri.path());
    url.set_query(head.uri.query());
    url
}

fn passed_on(headers: &HeaderMap, upgrade: Option<&HeaderValue>) -> HeaderMap {
    let mut kept: HeaderMap = headers
        .iter()
        .filter(|(name, _)| !OF_A_CONNECTION.contains(name))
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect();
    if let Some(upgrade) = upgrade {
        kept.insert(header::UPGRADE, upgrade.clone());
        kept.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    }
    kept
}

fn lost(error: &reqwest::Error) -> Refusal {
    let message = format!("the collector that leads did not answer, and may have heard the request: {error}");
    Refusal::new(StatusCode::BAD_GATEWAY, "leader_lost", message)
}

fn away(message: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_leader", message)
}
