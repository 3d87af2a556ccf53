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

use super::credentials::{COOKIE, session};
use super::page::page;
use super::{Auth, Unproven};
use crate::limits;

pub(super) fn routes<S>(auth: Arc<Auth>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    let routes = Router::new()
        .route("/login", get(show).post(log_in))
        .route("/logout", get(log_out).post(log_out))
        .layer(DefaultBodyLimit::max(limits::LOGIN_BYTES));
    routes.with_state(auth)
}

async fn show(RawQuery(query): RawQuery) -> Response {
    page(StatusCode::OK, &local(&field(query.unwrap_or_default().as_bytes(), "next")), "")
}

async fn log_in(
    State(auth): State<Arc<Auth>>,
    ConnectInfo(address): ConnectInfo<SocketAddr>,
    form: Bytes,
) -> Response {
    let (token, next) = (field(&form, "token"), local(&field(&form, "next")));
    let Some(tokens) = auth.in_force() else { return Redirect::to(&next).into_response() };
    let entry = match auth.prove(&tokens, token.trim().as_bytes(), address) {
        Ok(entry) => entry,
        Err(Unproven::Slowed(wait)) => return super::slowed(wait),
        Err(_) => return page(StatusCode::UNAUTHORIZED, &next, "This token is not known here."),
    };
    match auth.sessions.open(entry.sha256, Instant::now()) {
        Ok(id) => with_cookie(Redirect::to(&next), &cookie(&id, auth.secure)),
        Err(error) => {
            tracing::error!(%error, "nobody can log in");
            page(StatusCode::INTERNAL_SERVER_ERROR, &next, "The server cannot open a session; see its log.")
        }
    }
}

async fn log_out(State(auth): State<Arc<Auth>>, headers: HeaderMap) -> Response {
    session(&headers).into_iter().for_each(|id| auth.sessions.close(id));
    with_cookie(Redirect::to("/login"), &format!("{}; Max-Age=0", cookie("", auth.secure)))
}

fn cookie(id: &str, secure: bool) -> String {
    let secure = if secure { "; Secure" } else { "" };
    format!("{COOKIE}={id}; HttpOnly; SameSite=Strict; Path=/{secure}")
}

fn with_cookie(redirect: Redirect, cookie: &str) -> Response {
    let mut response = redirect.into_response();
    // A random id has letters only that a header can carry.
    if let Ok(mut cookie) = HeaderValue::from_str(cookie) {
        cookie.set_sensitive(true);
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

/// A field of a form or a query; empty where there is none.
fn field(text: &[u8], name: &str) -> String {
    let found = form_urlencoded::parse(text).find(|(key, _)| key == name);
    found.map(|(_, value)| value.into_owned()).unwrap_or_default()
}

/// Where to go after a login: a path here, and nothing that a browser would read as another site's address.
fn local(next: &str) -> String {
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

    #[test]
    fn the_cookie_is_for_this_site_alone_and_over_tls_for_tls_alone() {
        assert_eq!(cookie("id", false), "orchestrator_session=id; HttpOnly; SameSite=Strict; Path=/");
        assert_eq!(cookie("id", true), "orchestrator_session=id; HttpOnly; SameSite=Strict; Path=/; Secure");
    }
}
