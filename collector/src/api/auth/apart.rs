//! The web interface on an origin of its own: a second address, at which code of the backends' node packs may run in a browser
//! without anybody's rights but those to submit. What separates the two, since cookies know no ports and a browser takes two
//! ports of one host for the same site:
//!
//! - each address has a cookie of its own, and knows the sessions of its own alone; what a session of the interface may do is
//!   what the role `submit` may, whoever logged in, on ComfyUI's routes;
//! - a token is typed at the main address only, which no code of a backend reaches; from there a ticket leads to the interface,
//!   good once, and only in the browser that asked for it;
//! - a page of the interface is a stranger at the main address: its requests are refused by their `Origin`, or by what the
//!   browser says of where they come from.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::get;
use url::Url;
use url::form_urlencoded::Serializer;

use super::credentials::cookies;
use super::login::{field, local, with_cookies};
use super::origin::without_port;
use super::page::escaped;
use super::{Auth, Side};
use crate::access::{Digest, NoRandom, random_text};

/// Where the main address leads browsers that want the interface.
pub(super) const LEAVE: &str = "/login/interface";
/// Where the interface lets them in.
pub(super) const ENTER: &str = "/login/enter";

/// Another address of this collector, as browsers reach it.
#[derive(Clone, Debug)]
pub struct Elsewhere {
    /// As configured, for collectors behind a proxy.
    pub url: Option<Url>,
    /// Under the name that the browser uses already.
    pub port: u16,
    /// The collector itself speaks TLS.
    pub tls: bool,
}

impl Elsewhere {
    /// Its origin, for who asks with these headers; None: they name no host that can be told on.
    pub(super) fn origin(&self, asked: &HeaderMap) -> Option<String> {
        if let Some(url) = &self.url {
            return Some(url.origin().ascii_serialization());
        }
        let host = asked.get(header::HOST)?.to_str().ok()?;
        let scheme = if self.tls { "https" } else { "http" };
        let host = without_port(host);
        let url: Url = format!("{scheme}://{host}:{}", self.port).parse().ok()?;
        // What is no host alone would lead elsewhere.
        let is_host = !host.contains(['/', '\\', '?', '#', '@']);
        is_host.then(|| url.origin().ascii_serialization())
    }

    fn with(&self, asked: &HeaderMap, path: &str, fields: &[(&str, &str)]) -> Option<String> {
        let query = Serializer::new(String::new()).extend_pairs(fields).finish();
        self.origin(asked).map(|origin| format!("{origin}{path}?{query}"))
    }
}

/// At the main address: what is looked for there is at the other.
pub(super) async fn moved(State(auth): State<Arc<Auth>>, uri: Uri, headers: HeaderMap) -> Response {
    let wanted = uri.path_and_query().map_or("/", |wanted| wanted.as_str());
    to(auth.interface_origin(&headers).map(|origin| format!("{origin}{wanted}")))
}

/// At the main address: from a session there to one of the interface.
pub(super) async fn leave(
    State(auth): State<Arc<Auth>>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let (state, next) = (field(query.as_bytes(), "state"), local(&field(query.as_bytes(), "next")));
    let Side::Main { tickets, interface: Some(interface) } = &auth.side else {
        return told(StatusCode::NOT_FOUND, "The web interface has no address of its own here.");
    };
    let Some(session) = auth.session_of(&headers) else {
        let back = Serializer::new(String::new()).extend_pairs([("state", &state), ("next", &next)]).finish();
        let login = Serializer::new(String::new()).append_pair("next", &format!("{LEAVE}?{back}")).finish();
        return Redirect::to(&format!("/login?{login}")).into_response();
    };
    let ticket = match tickets.issue(session, Instant::now()) {
        Ok(ticket) => ticket,
        Err(error) => return no_random(&error),
    };
    let fields = [("ticket", ticket.as_str()), ("state", &state), ("next", &next)];
    to(interface.with(&headers, ENTER, &fields))
}

/// At the interface: to the main address, and back to what was wanted. The cookie tells this browser's way back from one that
/// somebody else has begun.
pub(super) fn begin(auth: &Auth, headers: &HeaderMap, next: &str) -> Response {
    let Side::Interface { at, .. } = &auth.side else { return lost() };
    let state = match random_text() {
        Ok(state) => state,
        Err(error) => return no_random(&error),
    };
    let answer = to(at.with(headers, LEAVE, &[("state", &state), ("next", next)]));
    // Lax: the way back may begin with a link on another site.
    with_cookies(answer, &[auth.cookies.set(&auth.cookies.state(), &state, "Lax")])
}

pub(super) fn interface_routes<S: Clone + Send + Sync + 'static>(auth: Arc<Auth>) -> Router<S> {
    let start = async |State(auth): State<Arc<Auth>>, headers: HeaderMap| begin(&auth, &headers, "/");
    let routes = Router::new()
        .route("/login", get(start))
        .route(ENTER, get(enter))
        .route("/logout", get(log_out).post(log_out));
    routes.with_state(auth)
}

async fn enter(State(auth): State<Arc<Auth>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let query = query.unwrap_or_default();
    let given = |name| field(query.as_bytes(), name);
    let Side::Interface { main, .. } = &auth.side else { return lost() };
    let state = Digest::of(given("state").as_bytes());
    let is_own = cookies(&headers, &auth.cookies.state()).any(|known| Digest::of(known.as_bytes()) == state);
    let session = is_own.then(|| main.take_ticket(&given("ticket"))).flatten();
    let Some(session) = session else {
        let message = "This way in was not begun in this browser, or it took too long.";
        return told(StatusCode::UNAUTHORIZED, message);
    };
    match auth.sessions.open(session, Instant::now()) {
        Ok(id) => {
            let cookies = [auth.cookies.session_cookie(&id), auth.cookies.gone(&auth.cookies.state())];
            with_cookies(onward(&local(&given("next"))), &cookies)
        }
        Err(error) => no_random(&error),
    }
}

/// Out of both: else the next page would lead straight in again.
async fn log_out(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Response {
    let Side::Interface { at, .. } = &auth.side else { return lost() };
    cookies(&headers, &auth.cookies.session()).for_each(|id| auth.sessions.close(id));
    let answer = to(at.with(&headers, "/logout", &[]));
    with_cookies(answer, &[auth.cookies.gone(&auth.cookies.session())])
}

fn to(url: Option<String>) -> Response {
    let unknown = "This request names no host; set public_url and interface_url.";
    url.map_or_else(|| told(StatusCode::BAD_REQUEST, unknown), |url| Redirect::to(&url).into_response())
}

fn lost() -> Response {
    told(StatusCode::NOT_FOUND, "There is no login here.")
}

fn no_random(error: &NoRandom) -> Response {
    tracing::error!(%error, "nobody can log in");
    told(StatusCode::INTERNAL_SERVER_ERROR, "The server cannot open a session; see its log.")
}

const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

/// A page that opens the next. A redirection would not do: where the way began on another site, the browser would not show
/// the new cookie before it opens a page from here.
fn onward(next: &str) -> Response {
    let next = escaped(next);
    let page = format!(
        "<!doctype html><title>Log in</title><meta http-equiv=\"refresh\" content=\"0; url={next}\">"
    );
    (HEADERS, Html(page)).into_response()
}

/// A page of one sentence, ours.
fn told(status: StatusCode, sentence: &'static str) -> Response {
    let page =
        format!("<!doctype html><title>Log in</title><p>{sentence} <a href=\"/\">Open the page again</a>");
    (status, HEADERS, Html(page)).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_other_address_is_found_by_the_name_that_the_browser_uses_or_by_the_configuration() {
        let elsewhere =
            |url: Option<&str>, tls| Elsewhere { url: url.map(|url| url.parse().unwrap()), port: 8289, tls };
        for (url, secure, host, expected) in [
            (None, false, Some("127.0.0.1:8288"), Some("http://127.0.0.1:8289")),
            (None, true, Some("fleet.lan"), Some("https://fleet.lan:8289")),
            (None, false, Some("[::1]:8288"), Some("http://[::1]:8289")),
            (None, false, Some("a b"), None),
            (None, false, Some("x/../y"), None),
            (None, false, Some("x?y"), None),
            (None, false, Some("fleet.lan@x"), None),
            (None, false, None, None),
            (Some("https://comfy.example/"), false, Some("10.0.0.1:8288"), Some("https://comfy.example")),
        ] {
            let headers = host.map(|host| (header::HOST, host.parse().unwrap())).into_iter().collect();
            assert_eq!(elsewhere(url, secure).origin(&headers).as_deref(), expected, "{url:?} {host:?}");
        }
    }
}
