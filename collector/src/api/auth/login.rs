//! `/login` and `/logout`, for browsers: a token once, and a session's cookie from then on.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{ConnectInfo, DefaultBodyLimit, RawQuery, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use url::form_urlencoded;

use super::apart::{self, LEAVE};
use super::credentials::cookies;
use super::page::page;
use super::{Auth, Unproven};
use crate::limits;

pub(super) fn routes<S>(auth: Arc<Auth>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let mut routes = Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", get(log_out).post(log_out))
        .layer(DefaultBodyLimit::max(limits::LOGIN_BYTES));
    if auth.interface_is_apart() {
        routes = routes.route(LEAVE, get(apart::leave));
        for page in ["/", "/index.html"] {
            routes = routes.route(page, get(apart::moved));
        }
    }
    routes.with_state(auth)
}

async fn show(State(auth): State<Arc<Auth>>, RawQuery(query): RawQuery, headers: HeaderMap) -> Response {
    let next = local(&field(query.unwrap_or_default().as_bytes(), "next"));
    page(StatusCode::OK, &next, "", auth.interface_origin(&headers).as_deref())
}

async fn log_in(
    State(auth): State<Arc<Auth>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    form: Bytes,
) -> Response {
    let (token, next) = (field(&form, "token"), local(&field(&form, "next")));
    let Some(tokens) = auth.in_force() else { return Redirect::to(&next).into_response() };
    let refusal = |status, told| page(status, &next, told, auth.interface_origin(&headers).as_deref());
    let entry = match auth.prove(&tokens, token.trim().as_bytes(), address) {
        Ok(entry) => entry,
        Err(Unproven::Slowed(wait)) => return super::slowed(wait),
        Err(_) => return refusal(StatusCode::UNAUTHORIZED, "This token is not known here."),
    };
    match auth.sessions.open(entry.sha256, Instant::now()) {
        Ok(id) => with_cookies(Redirect::to(&next).into_response(), &[auth.cookies.session_cookie(&id)]),
        Err(error) => {
            tracing::error!(%error, "nobody can log in");
            let told = "The server cannot open a session; see its log.";
            refusal(StatusCode::INTERNAL_SERVER_ERROR, told)
        }
    }
}

async fn log_out(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Response {
    cookies(&headers, &auth.cookies.session()).for_each(|id| auth.sessions.close(id));
    with_cookies(Redirect::to("/login").into_response(), &[auth.cookies.gone(&auth.cookies.session())])
}

pub(super) fn with_cookies(mut response: Response, cookies: &[String]) -> Response {
    // A random id has letters only that a header can carry.
    for mut cookie in cookies.iter().filter_map(|cookie| HeaderValue::from_str(cookie).ok()) {
        cookie.set_sensitive(true);
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}

/// A field of a form or a query; empty where there is none.
pub(super) fn field(text: &[u8], name: &str) -> String {
    let found = form_urlencoded::parse(text).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Where to go after a login: a path here, and nothing that a browser would read as another site's address.
pub(super) fn local(next: &str) -> String {
    let is_path = next.starts_with('/') && !next.starts_with("//");
    let is_plain = next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_path && is_plain { next.to_owned() } else { "/".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_leads_to_a_path_here_and_nowhere_else() {
        for next in ["/", "/queue", "/view?filename=a%2Fb&type=output", "/a//b", "/?next=https://x"] {
            assert_eq!(local(next), next);
        }
        for next in [
            "",
            "queue",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "/\t/evil.example",
            "/\n/evil.example",
            " //evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "/a\r\nSet-Cookie: b",
            "/ü",
        ] {
            assert_eq!(local(next), "/", "{next:?}");
        }
    }
}
