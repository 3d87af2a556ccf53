//! What a key may hold, with errors that say what is allowed.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use ipnet::IpNet;
use serde::Deserialize;
use url::Url;

use crate::id::{BackendId, BadBackendId};
use crate::limits;

/// An agent's port is its ComfyUI's plus this.
const AGENT_PORT_DISTANCE: u16 = 1000;

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct BackendUrl(pub Url);

#[derive(Debug, thiserror::Error)]
#[error(
    "{text:?} is no address of a server ({reason}); write it as http://HOST:PORT or https://HOST:PORT/PATH"
)]
pub struct BadUrl {
    text: String,
    reason: String,
}

impl FromStr for BackendUrl {
    type Err = BadUrl;

    fn from_str(text: &str) -> Result<Self, BadUrl> {
        let bad = |reason: String| BadUrl { text: without_credentials(text), reason };
        let url = Url::parse(text).map_err(|e| bad(e.to_string()))?;
        match url.scheme() {
            "http" | "https" if url.query().is_none() && url.fragment().is_none() => Ok(Self(url)),
            "http" | "https" => Err(bad("it has a query or a fragment".into())),
            scheme => Err(bad(format!("its scheme is {scheme}"))),
        }
    }
}

/// An address that cannot be parsed may hold a password all the same.
fn without_credentials(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("...@{host}"),
        None => text.to_owned(),
    }
}

impl TryFrom<String> for BackendUrl {
    type Error = BadUrl;

    fn try_from(text: String) -> Result<Self, BadUrl> {
        text.parse()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no origin ({reason}); write it as https://HOST or https://HOST:PORT, without a path")]
pub struct BadOrigin {
    text: String,
    reason: String,
}

/// An address as a browser's page has it: a scheme, a host, perhaps a port.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct OriginUrl(pub Url);

impl FromStr for OriginUrl {
    type Err = BadOrigin;

    fn from_str(text: &str) -> Result<Self, BadOrigin> {
        let bad = |reason: String| BadOrigin { text: without_credentials(text), reason };
        let BackendUrl(url) = text.parse().map_err(|BadUrl { reason, .. }| bad(reason))?;
        let is_plain = url.path() == "/" && url.username().is_empty() && url.password().is_none();
        is_plain
            .then_some(Self(url))
            .ok_or_else(|| bad("it has more than a scheme, a host and a port".into()))
    }
}

impl TryFrom<String> for OriginUrl {
    type Error = BadOrigin;

    fn try_from(text: String) -> Result<Self, BadOrigin> {
        text.parse()
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no address of a receiver ({reason}); write it as http://HOST:4318 or https://HOST/PATH")]
pub struct BadReceiver {
    text: String,
    reason: String,
}

/// The address of a server that is sent something, without credentials: it stands where others read it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct ReceiverUrl(pub Url);

impl FromStr for ReceiverUrl {
    type Err = BadReceiver;

    fn from_str(text: &str) -> Result<Self, BadReceiver> {
        let bad = |reason: String| BadReceiver { text: without_credentials(text), reason };
        let BackendUrl(url) = text.parse().map_err(|BadUrl { reason, .. }| bad(reason))?;
        let is_plain = url.username().is_empty() && url.password().is_none();
        is_plain.then_some(Self(url)).ok_or_else(|| {
            bad("it has a user or a password, which an OpenTelemetry collector between the two can add"
                .into())
        })
    }
}

impl TryFrom<String> for ReceiverUrl {
    type Error = BadReceiver;

    fn try_from(text: String) -> Result<Self, BadReceiver> {
        text.parse()
    }
}

/// A time span, or never.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Wait(pub Option<Duration>);

#[derive(Debug, thiserror::Error)]
#[error("{text:?} is no time span ({reason}); write it as 90s, 10m or 1h 30m, or write never")]
pub struct BadWait {
    text: String,
    reason: String,
}

impl FromStr for Wait {
    type Err = BadWait;

    fn from_str(text: &str) -> Result<Self, BadWait> {
        if text == "never" {
            return Ok(Self(None));
        }
        let span = humantime::parse_duration(text);
        span.map(|span| Self(Some(span)))
            .map_err(|e| BadWait { text: text.to_owned(), reason: e.to_string() })
    }
}

impl TryFrom<String> for Wait {
    type Error = BadWait;

    fn try_from(text: String) -> Result<Self, BadWait> {
        text.parse()
    }
}

/// A share of a whole, or never.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
pub struct Share(pub Option<f64>);

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no share; write it as 10%, above 0% and at most 100%, or write never")]
pub struct BadShare(String);

impl FromStr for Share {
    type Err = BadShare;

    fn from_str(text: &str) -> Result<Self, BadShare> {
        if text == "never" {
            return Ok(Self(None));
        }
        let percent = text.strip_suffix('%').and_then(|percent| percent.trim().parse::<f64>().ok());
        let percent = percent.filter(|percent| *percent > 0.0 && *percent <= 100.0);
        percent.map(|percent| Self(Some(percent / 100.0))).ok_or_else(|| BadShare(text.to_owned()))
    }
}

impl TryFrom<String> for Share {
    type Error = BadShare;

    fn try_from(text: String) -> Result<Self, BadShare> {
        text.parse()
    }
}

/// `NAME=VALUE`: up to the first sign of equality, and all behind it.
#[derive(Clone, Debug, PartialEq)]
pub struct Pair {
    pub name: String,
    pub value: String,
}

impl FromStr for Pair {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        match text.split_once('=') {
            Some((name, value)) if !name.is_empty() => {
                Ok(Self { name: name.to_owned(), value: value.to_owned() })
            }
            _ => Err("it is written as NAME=VALUE"),
        }
    }
}

/// How often backends are polled: long enough to be no load on them, short enough to notice.
pub(super) fn poll_interval(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|e| format!("{e}; write it as 500ms, 1s or 5s"))?;
    let allowed = Duration::from_millis(50)..=Duration::from_secs(60);
    let bad = || format!("{text} is out of range; allowed are 50ms to 60s");
    allowed.contains(&span).then_some(span).ok_or_else(bad)
}

pub(super) const HISTORY_JOBS: RangeInclusive<u64> = 1..=limits::HISTORY_JOBS_MOST;
pub(super) const KEPT_BYTES: RangeInclusive<u64> = limits::HISTORY_BYTES_LEAST..=i64::MAX as u64;

pub(super) fn history_jobs(text: &str) -> Result<u64, String> {
    whole(text).and_then(|number| within(number, &HISTORY_JOBS))
}

pub(super) fn kept_bytes(text: &str) -> Result<u64, String> {
    whole(text).and_then(|number| within(number, &KEPT_BYTES))
}

fn whole(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("{text:?} is no whole number; write it in digits, as 10000"))
}

pub(super) fn within(number: u64, allowed: &RangeInclusive<u64>) -> Result<u64, String> {
    let bad = || format!("{number} is out of range; allowed are {} to {}", allowed.start(), allowed.end());
    allowed.contains(&number).then_some(number).ok_or_else(bad)
}

pub(super) const TEMPO: RangeInclusive<f64> = 0.1..=1000.0;
pub(super) const FAIRNESS: RangeInclusive<f64> = 0.0..=100.0;

pub(super) fn tempo(text: &str) -> Result<f64, String> {
    number(text).and_then(|number| between(number, &TEMPO))
}

pub(super) fn fairness(text: &str) -> Result<f64, String> {
    number(text).and_then(|number| between(number, &FAIRNESS))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse().map_err(|_| format!("{text:?} is no number; write it as 2 or 0.5"))
}

pub(super) fn between(number: f64, allowed: &RangeInclusive<f64>) -> Result<f64, String> {
    let bad = || format!("{number} is out of range; allowed are {} to {}", allowed.start(), allowed.end());
    allowed.contains(&number).then_some(number).ok_or_else(bad)
}

/// How long a job waits before its models are loaded whatever else there is to do.
pub(super) fn overdue_after(text: &str) -> Result<Duration, String> {
    let span = humantime::parse_duration(text).map_err(|e| format!("{e}; write it as 90s, 5m or 1h"))?;
    let allowed = Duration::from_millis(1)..=Duration::from_secs(24 * 3600);
    let bad = || format!("{text} is out of range; allowed are 1ms to 1day");
    allowed.contains(&span).then_some(span).ok_or_else(bad)
}

/// `10.1.0.0/16`, or an address alone.
pub(super) fn network(text: &str) -> Result<IpNet, String> {
    let alone = || text.parse::<IpAddr>().ok().map(IpNet::from);
    let network = text.parse::<IpNet>().ok().or_else(alone);
    network.ok_or_else(|| {
        format!("{text:?} is no network; write it as 10.1.0.0/16 or fd00::/8, or an address alone")
    })
}

/// A backend without a name is called by its host and port.
pub(super) fn name_of(url: &Url) -> Result<BackendId, BadBackendId> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).replace(':', "_");
    let port = url.port_or_known_default().map(|port| format!("-{port}")).unwrap_or_default();
    let path = url.path().trim_matches('/').replace('/', "_");
    let path = if path.is_empty() { path } else { format!("-{path}") };
    format!("{host}{port}{path}").parse()
}

/// The agent beside a ComfyUI: the same host, its port plus 1000; where that is no port, ComfyUI's own, where the old
/// Python node answers. An agent speaks plain HTTP unless told otherwise by an address of its own.
pub(super) fn agent_of(url: &Url) -> Url {
    let mut agent = url.clone();
    agent.set_path("");
    let own = url.port_or_known_default();
    let port = own.and_then(|port| port.checked_add(AGENT_PORT_DISTANCE)).or(own);
    // Neither can fail for an http address with a host, which BackendUrl is.
    let _ = agent.set_scheme("http");
    let _ = agent.set_port(port);
    // What ComfyUI's proxy asks for is nothing to tell another program, least of all in clear.
    let _ = agent.set_username("");
    let _ = agent.set_password(None);
    agent
}
