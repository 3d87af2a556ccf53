//! Another site's page must not act here through its visitor's browser. A request that changes something, or opens a
//! WebSocket, is refused when its `Origin` is another than the `Host` it was sent to, and none that is configured (`sites`);
//! ComfyUI does the same on loopback.
//!
//! A site whose name is made to lead here (DNS rebinding) has the same of both. Where no token is asked for, the `Host`
//! must therefore be one that no stranger can own: an address, localhost, or a name that is configured.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::super::Refusal;
use super::{Auth, roles};

pub(super) async fn refuse_foreign(State(auth): State<Arc<Auth>>, request: Request, next: Next) -> Response {
    match refusal(&auth, &request) {
        None => next.run(request).await,
        Some(refusal) => refusal.into_response(),
    }
}

fn refusal(auth: &Auth, request: &Request) -> Option<Refusal> {
    let headers = request.headers();
    if auth.tokens.is_none() && !is_for_any_host(request) && !is_known(text(headers, header::HOST), auth) {
        let message = "this collector is not known by the name in the Host header; call it by its address, or add the \
                       name to allowed_hosts (--allowed-host NAME)";
        return Some(Refusal::new(StatusCode::FORBIDDEN, "foreign_host", message));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    let upgrades = headers.contains_key(header::UPGRADE);
    if (reads && !upgrades) || is_own(headers) || auth.sites.have(headers.get(header::ORIGIN)) {
        return None;
    }
    let message = "this request comes from another site's page, which may not act here";
    Some(Refusal::new(StatusCode::FORBIDDEN, "foreign_origin", message))
}

fn is_for_any_host(request: &Request) -> bool {
    let path = request.extensions().get::<MatchedPath>();
    path.is_some_and(|path| roles::is_for_any_host(path.as_str()))
}

fn text(headers: &HeaderMap, name: HeaderName) -> Option<&str> {
    headers.get(name).map(|value| value.to_str().unwrap_or_default())
}

/// No `Host`: no browser sent it.
fn is_known(host: Option<&str>, auth: &Auth) -> bool {
    let Some(host) = host else { return true };
    let name = without_port(host);
    name.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
        || name.eq_ignore_ascii_case("localhost")
        || auth.allowed_hosts.iter().any(|allowed| name.eq_ignore_ascii_case(allowed))
}

pub(super) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// No `Origin`: no browser page sent it.
pub(super) fn is_own(headers: &HeaderMap) -> bool {
    let Some(origin) = text(headers, header::ORIGIN) else { return true };
    let host_of_origin = origin.split_once("://").map(|(_, host)| host);
    host_of_origin.is_some() && host_of_origin == text(headers, header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_our_own_may_act() {
        for (origin, host, own) in [
            (None, "127.0.0.1:8288", true),
            (Some("http://127.0.0.1:8288"), "127.0.0.1:8288", true),
            (Some("http://localhost:8288"), "127.0.0.1:8288", false),
            (Some("https://evil.example"), "127.0.0.1:8288", false),
            (Some("null"), "127.0.0.1:8288", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            assert_eq!(is_own(&headers), own, "{origin:?}");
        }
    }

    #[test]
    fn a_host_is_an_address_localhost_or_a_name_that_is_configured() {
        let auth = Auth::new(None, vec!["comfy.lan".to_owned()], false, None);
        for host in [
            "127.0.0.1:8288",
            "192.0.2.1",
            "[::1]:8288",
            "[2001:db8::1]",
            "localhost:8288",
            "LOCALHOST",
            "comfy.lan",
            "Comfy.LAN:8288",
        ] {
            assert!(is_known(Some(host), &auth), "{host}");
        }
        for host in [
            "",
            "evil.example",
            "evil.example:8288",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "a b",
        ] {
            assert!(!is_known(Some(host), &auth), "{host}");
        }
        assert!(is_known(None, &auth));
    }
}
