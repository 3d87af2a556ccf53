//! Who may read and who may change something. With a token everything but the probes' routes asks for it, also what
//! does not exist; without one everybody may read, and only this machine may change something.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, FromRequestParts, Request, State};
use axum::http::header::{AUTHORIZATION, ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use tokio::sync::watch;

use super::body;
use crate::access::Token;

/// What tells only whether the agent lives, for whoever restarts it.
const OPEN: [&str; 2] = ["/-/healthy", "/-/ready"];

/// What is known of who asks, in every request behind [`guarded`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Asker {
    /// Showed the token.
    Trusted,
    /// No token is configured; asks from this machine.
    Local,
    /// No token is configured; asks from elsewhere.
    Stranger,
    /// Did not show the token that is configured.
    Unproven,
}

impl Asker {
    fn of(token: Option<&Token>, headers: &HeaderMap, peer: Option<IpAddr>) -> Self {
        match (token, peer) {
            (Some(token), _) if shows(headers, token) => Self::Trusted,
            (Some(_), _) => Self::Unproven,
            (None, Some(address)) if address.to_canonical().is_loopback() => Self::Local,
            (None, _) => Self::Stranger,
        }
    }
}

fn shows(headers: &HeaderMap, token: &Token) -> bool {
    let given = headers.get(AUTHORIZATION).map(|value| value.as_bytes());
    given.and_then(|given| given.split_at_checked(b"Bearer ".len())).is_some_and(|(scheme, given)| {
        scheme.eq_ignore_ascii_case(b"Bearer ") && token.is(given.trim_ascii())
    })
}

/// The routes, behind the token if there is one, for requests without their bodies.
pub(crate) fn guarded(routes: Router, token: Option<watch::Receiver<Arc<Token>>>) -> Router {
    routes.layer(middleware::from_fn_with_state(token, check)).layer(middleware::from_fn(body::take))
}

async fn check(
    State(token): State<Option<watch::Receiver<Arc<Token>>>>,
    mut request: Request,
    next: Next,
) -> Response {
    let token = token.map(|token| Arc::clone(&token.borrow()));
    let peer = request.extensions().get().map(|ConnectInfo::<SocketAddr>(address)| address.ip());
    let asker = Asker::of(token.as_deref(), request.headers(), peer);
    if asker == Asker::Unproven && !OPEN.contains(&request.uri().path()) {
        let told = "this agent asks for its token: send the header `Authorization: Bearer TOKEN`\n";
        return (StatusCode::UNAUTHORIZED, [(WWW_AUTHENTICATE, "Bearer")], told).into_response();
    }
    request.extensions_mut().insert(asker);
    next.run(request).await
}

/// For handlers that change something: who asks may do so. Otherwise the answer is 403 and says what to do.
#[derive(Clone, Copy, Debug)]
pub(crate) struct MayChange;

impl<S: Sync> FromRequestParts<S> for MayChange {
    type Rejection = (StatusCode, &'static str);

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        let asker = parts.extensions.get().copied().unwrap_or(Asker::Stranger);
        match refusal(asker, parts.headers.contains_key(ORIGIN)) {
            None => Ok(Self),
            Some(told) => Err((StatusCode::FORBIDDEN, told)),
        }
    }
}

/// Browsers add an origin to whatever a page sends that may change something; tools do not.
fn refusal(asker: Asker, has_origin: bool) -> Option<&'static str> {
    match asker {
        _ if has_origin => Some(
            "a page in a browser may change nothing here: send the request with a tool such as curl, without an Origin header\n",
        ),
        Asker::Trusted | Asker::Local => None,
        Asker::Stranger => Some(
            "only this machine may change something here: ask from it, or start the agent with --token-file and send the token\n",
        ),
        Asker::Unproven => Some(
            "only who shows the token may change something here: send the header `Authorization: Bearer TOKEN`\n",
        ),
    }
}

#[cfg(test)]
mod tests;
