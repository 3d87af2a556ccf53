//! One webhook, sent once: to addresses that were checked and no others, without following where an answer points, and
//! without reading what it says.

use std::net::SocketAddr;
use std::sync::Arc;

use comfyui::reqwest::dns::{Addrs, Name, Resolve, Resolving};
use comfyui::reqwest::{self, Client, StatusCode};
use tokio::sync::watch;
use url::Url;

use super::address::{Forbidden, Rules};
use super::signature::Secrets;
use crate::clock::UnixMillis;
use crate::id::JobId;
use crate::limits;

/// Why a webhook was not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Failure {
    /// It may be taken later.
    #[error("{0}")]
    Passing(String),
    /// It will not.
    #[error("{0}")]
    Final(String),
}

pub(super) struct Sender {
    http: Client,
    rules: Rules,
    secrets: watch::Receiver<Arc<Secrets>>,
}

impl Sender {
    pub(super) fn new(rules: Rules, secrets: watch::Receiver<Arc<Secrets>>) -> Result<Self, comfyui::Error> {
        let lookup = Arc::new(Checked(rules.clone()));
        let http = comfyui::client::http_looking_up(lookup)?;
        Ok(Self { http, rules, secrets })
    }

    pub(super) async fn send(
        &self,
        job: JobId,
        url: Url,
        body: String,
        now: UnixMillis,
    ) -> Result<(), Failure> {
        // An address that is written out is looked up by nobody.
        self.rules.check_visible(&url).map_err(|no| Failure::Final(no.to_string()))?;
        let (id, unix_seconds) = (job.to_string(), now.0 / 1000);
        let signature = self.secrets.borrow().sign(&id, unix_seconds, &body);
        let request = self.http.post(url).timeout(limits::WEBHOOK_TIMEOUT);
        let request = request
            .header("content-type", "application/json")
            .header("user-agent", concat!("orchestrator-collector/", env!("CARGO_PKG_VERSION")))
            .header("webhook-id", id)
            .header("webhook-timestamp", unix_seconds.to_string())
            .header("webhook-signature", signature);
        match request.body(body).send().await {
            Ok(answer) => judged(answer.status()),
            Err(error) => Err(failure(error)),
        }
    }
}

fn judged(status: StatusCode) -> Result<(), Failure> {
    match status {
        _ if status.is_success() => Ok(()),
        StatusCode::GONE => {
            Err(Failure::Final("the receiver answered 410: it wants none any more".to_owned()))
        }
        _ if status.is_redirection() => Err(Failure::Passing(format!(
            "the receiver answered {}, and redirects are not followed",
            status.as_u16()
        ))),
        _ => Err(Failure::Passing(format!("the receiver answered {}", status.as_u16()))),
    }
}

/// In words, without the URL, which may hold what only the receiver should know.
fn failure(error: reqwest::Error) -> Failure {
    let error = error.without_url();
    if error.is_timeout() {
        return Failure::Passing(format!(
            "the receiver did not answer within {} s",
            limits::WEBHOOK_TIMEOUT.as_secs()
        ));
    }
    let mut told = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        if let Some(forbidden) = cause.downcast_ref::<Forbidden>() {
            return Failure::Final(forbidden.to_string());
        }
        told = cause.to_string();
        source = cause.source();
    }
    Failure::Passing(format!("the receiver cannot be reached: {told}"))
}

/// Looks names up, and gives none but addresses that may be sent to: what is connected to is what was checked.
struct Checked(Rules);

impl Resolve for Checked {
    fn resolve(&self, name: Name) -> Resolving {
        let rules = self.0.clone();
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(Box::new(permitted(&rules, name.as_str(), found)?.into_iter()) as Addrs)
        })
    }
}

/// Those of the addresses that may be sent to, or why none may be.
fn permitted(
    rules: &Rules,
    host: &str,
    found: impl Iterator<Item = SocketAddr>,
) -> Result<Vec<SocketAddr>, Forbidden> {
    let (mut permitted, mut refused) = (Vec::new(), None);
    for address in found {
        match rules.check(host, address.ip()) {
            Ok(()) => permitted.push(address),
            Err(no) => refused = refused.or(Some(no)),
        }
    }
    match refused.filter(|_| permitted.is_empty()) {
        Some(no) => Err(no),
        None => Ok(permitted),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_names_addresses_only_those_are_connected_to_that_may_be() {
        let addresses = |texts: &[&str]| -> Vec<SocketAddr> {
            texts.iter().map(|text| SocketAddr::new(text.parse().unwrap(), 0)).collect()
        };
        for (found, wanted) in [
            (&["1.1.1.1", "2606:4700::1"][..], Ok(&["1.1.1.1", "2606:4700::1"][..])),
            (&["10.0.0.1", "1.1.1.1"], Ok(&["1.1.1.1"])),
            (&["10.0.0.1", "::1"], Err("h is 10.0.0.1, a private address")),
            (&[], Ok(&[])),
        ] {
            match (permitted(&Rules::default(), "h", addresses(found).into_iter()), wanted) {
                (Ok(permitted), Ok(wanted)) => assert_eq!(permitted, addresses(wanted)),
                (Err(no), Err(wanted)) => assert!(no.to_string().starts_with(wanted), "{no}"),
                (got, wanted) => panic!("{found:?}: {got:?}, not {wanted:?}"),
            }
        }
    }

    #[test]
    fn a_receiver_takes_it_with_2xx_and_wants_none_with_410() {
        let judged = |code| judged(StatusCode::from_u16(code).unwrap());
        for code in [200, 201, 202, 204, 299] {
            assert_eq!(judged(code), Ok(()));
        }
        for code in [301, 302, 307, 308, 400, 404, 429, 500, 503] {
            assert!(
                matches!(judged(code), Err(Failure::Passing(told)) if told.contains(&code.to_string())),
                "{code}"
            );
        }
        assert!(matches!(judged(410), Err(Failure::Final(_))));
    }
    #[tokio::test]
    async fn a_name_that_leads_to_a_forbidden_address_is_connected_to_by_nobody() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let http = comfyui::client::http_looking_up(Arc::new(Checked(Rules::default()))).unwrap();
        let error = http.post(format!("http://localhost:{port}/")).send().await.unwrap_err();
        let Failure::Final(told) = failure(error) else { panic!("it may be tried again") };
        assert!(told.contains("localhost is ") && told.contains("a loopback address"), "{told}");
        let connected = tokio::time::timeout(std::time::Duration::ZERO, listener.accept()).await;
        assert!(connected.is_err(), "{connected:?}");
    }
}
