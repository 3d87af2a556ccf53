//! One request passed on to the collector that leads and its answer back, sockets too. While none leads it waits for the next.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header, request};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper_util::rt::TokioIo;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::api::{Refusal, passed};
use crate::queue::Leader;

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
/// So many of those that are larger than this; others are sent once.
const KEPT_BODIES: usize = 16;
const SMALL_BYTES: u64 = 64 * 1024;
/// How long a request waits for somebody to lead.
const PATIENCE: Duration = Duration::from_secs(15);
const AGAIN_AFTER: Duration = Duration::from_millis(200);

#[derive(Clone)]
pub(super) struct Way {
    http: reqwest::Client,
    pub(super) leader: watch::Receiver<Option<Leader>>,
    /// Places for bodies that are kept and not small.
    kept: Arc<Semaphore>,
    end: CancellationToken,
}

impl Way {
    pub(super) fn new(
        http: reqwest::Client,
        leader: watch::Receiver<Option<Leader>>,
        end: CancellationToken,
    ) -> Self {
        Self { http, leader, kept: Arc::new(Semaphore::new(KEPT_BODIES)), end }
    }
}

pub(super) async fn on(
    State(way): State<Way>,
    ConnectInfo(asker): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Result<Response, Refusal> {
    if was_passed_on(request.headers()) {
        return Err(away("two collectors stand by for each other; see their peer_url"));
    }
    let upgrade = request.headers().get(header::UPGRADE).cloned();
    let ours = upgrade.is_some().then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let mut headers = passed_on(&head.headers, upgrade.as_ref());
    headers.append(header::VIA, HeaderValue::from_static(PASSED_ON));
    let asked = Asked { head, headers, asker };
    let (answer, leader) = match way.kept(&asked.head, body).await? {
        Kept::Whole(bytes, _place) => way.send_until_heard(&asked, bytes).await?,
        Kept::Stream(body) => way.send_once(&asked, body).await?,
    };
    match (answer.status(), ours) {
        (StatusCode::SWITCHING_PROTOCOLS, Some(ours)) => Ok(way.join(ours, answer, leader)),
        _ => Ok(answered(answer)),
    }
}

/// A request without its body.
struct Asked {
    head: request::Parts,
    headers: HeaderMap,
    asker: SocketAddr,
}

enum Kept {
    /// With its place among those that are large.
    Whole(Bytes, Option<OwnedSemaphorePermit>),
    Stream(Body),
}

impl Way {
    async fn kept(&self, head: &request::Parts, body: Body) -> Result<Kept, Refusal> {
        let bytes = body.size_hint().exact();
        let is_small = bytes.is_some_and(|bytes| bytes <= SMALL_BYTES);
        let place = match bytes {
            Some(bytes) if bytes <= KEPT_BYTES && !is_small => {
                Arc::clone(&self.kept).try_acquire_owned().ok()
            }
            _ => None,
        };
        if !is_small && place.is_none() {
            return Ok(Kept::Stream(body));
        }
        let bytes = axum::body::to_bytes(body, usize::MAX).await;
        let bytes = bytes.map_err(|error| {
            Refusal::bad_request(
                "bad_body",
                format!("the body of {} cannot be read: {error}", head.uri.path()),
            )
        });
        bytes.map(|bytes| Kept::Whole(bytes, place))
    }

    /// Whoever leads: nobody has heard of it while nothing listens there.
    async fn send_until_heard(
        &self,
        asked: &Asked,
        body: Bytes,
    ) -> Result<(reqwest::Response, Leader), Refusal> {
        let (until, mut leaders) = (Instant::now() + PATIENCE, self.leader.clone());
        let mut unheard = None;
        loop {
            let leader = leaders.borrow_and_update().clone();
            if let Some(leader) = leader {
                match self.send(asked, body.clone().into(), &leader).await {
                    Err(Unanswered::Unheard(why)) => unheard = Some(why),
                    Err(Unanswered::Lost(refusal)) => return Err(refusal),
                    Ok(answer) => return Ok((answer, leader)),
                }
            }
            let again = Instant::now() + AGAIN_AFTER;
            if again > until {
                let why = unheard.map_or_else(String::new, |why| format!(" ({why})"));
                return Err(away(&format!(
                    "no collector that works on the database can be reached{why}; ask again"
                )));
            }
            // Another one, or the same again.
            let _ = timeout_at(again, leaders.changed()).await;
        }
    }

    async fn send_once(&self, asked: &Asked, body: Body) -> Result<(reqwest::Response, Leader), Refusal> {
        let leader = self.leader.borrow().clone();
        let leader = leader.ok_or_else(|| away("no collector works on the database; ask again"))?;
        let body = reqwest::Body::wrap_stream(body.into_data_stream());
        match self.send(asked, body, &leader).await {
            Ok(answer) => Ok((answer, leader)),
            Err(Unanswered::Lost(refusal)) => Err(refusal),
            Err(Unanswered::Unheard(why)) => Err(away(&format!(
                "the collector that works on the database cannot be reached ({why}); ask again"
            ))),
        }
    }

    async fn send(
        &self,
        asked: &Asked,
        body: reqwest::Body,
        leader: &Leader,
    ) -> Result<reqwest::Response, Unanswered> {
        let mut headers = asked.headers.clone();
        passed::say(&mut headers, &leader.pass, asked.asker);
        let request = self.http.request(asked.head.method.clone(), at(&leader.url, &asked.head));
        tokio::select! {
            sent = request.headers(headers).body(body).send() => sent.map_err(|error| match error.is_connect() {
                true => Unanswered::Unheard(reason(&error)),
                false => Unanswered::Lost(lost(&reason(&error))),
            }),
            () = self.replaced(leader) => Err(Unanswered::Lost(lost("another one leads by now"))),
        }
    }

    /// Until another collector leads than this.
    async fn replaced(&self, leader: &Leader) {
        let mut leaders = self.leader.clone();
        let is_other = |now: &Option<Leader>| now.as_ref().is_some_and(|now| now != leader);
        if leaders.wait_for(is_other).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// What either says goes to the other from now on.
    fn join(&self, ours: hyper::upgrade::OnUpgrade, answer: reqwest::Response, leader: Leader) -> Response {
        let mut headers = passed_on(answer.headers(), None);
        for name in [header::CONNECTION, header::UPGRADE] {
            headers.extend(answer.headers().get(&name).cloned().map(|value| (name, value)));
        }
        let way = self.clone();
        let joined = async move {
            if let (Ok(ours), Ok(theirs)) = tokio::join!(ours, answer.upgrade()) {
                let (mut our_words, mut our_ears) = tokio::io::split(TokioIo::new(ours));
                let (mut their_words, mut their_ears) = tokio::io::split(theirs);
                // What has been said on one side is heard on the other; then either's end ends both.
                tokio::select! {
                    _ = tokio::io::copy(&mut our_words, &mut their_ears) => {}
                    _ = tokio::io::copy(&mut their_words, &mut our_ears) => {}
                    () = way.replaced(&leader) => {}
                }
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

/// Why a request has no answer.
enum Unanswered {
    /// Nobody has heard it.
    Unheard(String),
    Lost(Refusal),
}

/// With what lies behind it: an error of HTTP alone says little.
fn reason(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(std::error::Error::source(error), |error| error.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn was_passed_on(headers: &HeaderMap) -> bool {
    let via = headers.get_all(header::VIA).iter().filter_map(|via| via.to_str().ok());
    via.flat_map(|via| via.split(',')).any(|by| by.trim() == PASSED_ON)
}

fn lost(why: &str) -> Refusal {
    let message = format!("the collector that leads did not answer, and may have heard the request: {why}");
    Refusal::new(StatusCode::BAD_GATEWAY, "leader_lost", message)
}

fn away(message: &str) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "no_leader", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(given: &[(&'static str, &'static str)]) -> HeaderMap {
        let pair = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        given.iter().map(pair).collect()
    }

    #[test]
    fn what_is_of_one_connection_stays_with_it_and_a_socket_is_asked_for_anew() {
        let given = headers(&[
            ("connection", "keep-alive, Upgrade"),
            ("transfer-encoding", "chunked"),
            ("upgrade", "websocket"),
            ("host", "fleet.example"),
            ("authorization", "Bearer x"),
            ("sec-websocket-key", "k"),
        ]);
        let plain = passed_on(&given, None);
        assert_eq!(
            plain,
            headers(&[("host", "fleet.example"), ("authorization", "Bearer x"), ("sec-websocket-key", "k")])
        );
        let socket = passed_on(&given, given.get("upgrade"));
        assert_eq!(
            (&socket["connection"], &socket["upgrade"]),
            (&"upgrade".parse().unwrap(), &"websocket".parse().unwrap())
        );
    }

    #[test]
    fn what_was_passed_on_once_is_known_whatever_proxies_said_beside_it() {
        for (via, was) in [
            ("1.1 orchestrator-collector", true),
            ("1.1 nginx, 1.1 orchestrator-collector", true),
            ("1.1 nginx", false),
        ] {
            assert_eq!(was_passed_on(&headers(&[("via", via)])), was, "{via}");
        }
    }

    #[test]
    fn paths_and_queries_arrive_as_they_were_asked_for() {
        let request = Request::get("/view/a%2Fb%20c?subfolder=x%26y&z").body(Body::empty()).unwrap();
        let (head, _) = request.into_parts();
        let leader = "http://leader:8288".parse().unwrap();
        assert_eq!(at(&leader, &head).as_str(), "http://leader:8288/view/a%2Fb%20c?subfolder=x%26y&z");
    }
}
