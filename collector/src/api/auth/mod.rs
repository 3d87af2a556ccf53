//! Who asks, and what they may do. Every request passes here before any route sees it: `origin` refuses other sites'
//! pages, `check` finds out who asks and asks `roles` whether they may.
//!
//! Without a file of tokens everybody is `Anyone` and may do everything.

mod asker;
mod attempts;
mod credentials;
mod login;
mod origin;
mod page;
mod roles;
mod sessions;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::watch;

pub(crate) use self::asker::Asker;
use self::attempts::Attempts;
use self::credentials::Shown;
use self::sessions::Sessions;
use super::Refusal;
use crate::access::{Digest, Entry, Tokens};

/// What is asked of whoever asks, and who has shown it.
pub struct Auth {
    tokens: Option<watch::Receiver<Arc<Tokens>>>,
    sessions: Sessions,
    attempts: Attempts,
    allowed_hosts: Vec<String>,
    /// Cookies are for TLS only.
    secure: bool,
}

impl Auth {
    /// `secure`: the collector itself speaks TLS.
    pub fn new(
        tokens: Option<watch::Receiver<Arc<Tokens>>>,
        allowed_hosts: Vec<String>,
        secure: bool,
    ) -> Self {
        let (sessions, attempts) = Default::default();
        Self { tokens, sessions, attempts, allowed_hosts, secure }
    }

    fn in_force(&self) -> Option<Arc<Tokens>> {
        self.tokens.as_ref().map(|tokens| Arc::clone(&tokens.borrow()))
    }

    /// Whose token this is, if the address has not shown too many wrong ones.
    fn prove(&self, tokens: &Tokens, token: &[u8], address: SocketAddr) -> Result<Arc<Entry>, Unproven> {
        let (digest, now) = (Digest::of(token), Instant::now());
        // Looked up in any case, so that all answers take the same time.
        let found = tokens.find(&digest);
        if let Some(wait) = self.attempts.slowed(address.ip(), &digest, now) {
            return Err(Unproven::Slowed(wait));
        }
        match found {
            Some(entry) => {
                self.attempts.proven(address.ip(), digest);
                Ok(Arc::clone(entry))
            }
            None => {
                self.attempts.failed(address.ip(), now);
                tracing::warn!(peer = %address.ip(), "a wrong token was shown");
                Err(Unproven::Wrong)
            }
        }
    }

    /// Who shows a token in the header, else whose session the cookie names. A header decides alone: whoever sends one
    /// means it.
    fn identify(
        &self,
        tokens: &Tokens,
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Result<Arc<Entry>, Unproven> {
        match credentials::shown(headers) {
            Shown::Token(token) => self.prove(tokens, token, address),
            Shown::Session(id) => {
                let digest = self.sessions.token_of(id, Instant::now());
                let entry = digest.and_then(|digest| tokens.find(&digest).cloned());
                entry.ok_or(Unproven::Missing)
            }
            Shown::Other => Err(Unproven::Wrong),
            Shown::Nothing => Err(Unproven::Missing),
        }
    }
}

/// Why it is not known who asks.
#[derive(Debug, PartialEq, Eq)]
enum Unproven {
    /// Nothing was shown, or a session that is over.
    Missing,
    Wrong,
    /// Too many wrong ones came from the address; what was shown now was not looked at.
    Slowed(Duration),
}

impl IntoResponse for Unproven {
    fn into_response(self) -> Response {
        let message = match self {
            Self::Slowed(wait) => return slowed(wait),
            Self::Missing => {
                "this collector asks for a token: send the header `Authorization: Bearer TOKEN`, or log in at /login"
            }
            Self::Wrong => {
                "this token is not known here; send one that is as `Authorization: Bearer TOKEN`, or ask whoever \
                 operates this collector for one"
            }
        };
        let refusal = Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", message);
        ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
    }
}

fn slowed(wait: Duration) -> Response {
    let seconds = wait.as_secs() + 1;
    let message = format!("too many wrong tokens came from this address; try again in {seconds} s");
    let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message);
    let mut response = refusal.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    response
}

/// The routes behind all that is asked of whoever asks.
pub(super) fn guarded<S>(routes: Router<S>, auth: Arc<Auth>) -> Router<S>
where
    S: Clone + Send + Sync + 'static,
{
    routes
        .merge(login::routes(Arc::clone(&auth)))
        .layer(middleware::from_fn_with_state(Arc::clone(&auth), check))
        .layer(middleware::from_fn_with_state(auth, origin::refuse_foreign))
}

async fn check(State(auth): State<Arc<Auth>>, mut request: Request, next: Next) -> Response {
    match admit(&auth, &request) {
        Ok(Some(asker)) => drop(request.extensions_mut().insert(asker)),
        Ok(None) => {}
        Err(refusal) => return *refusal,
    }
    next.run(request).await
}

/// Who asks; None where nobody is asked. Or the answer that refuses.
fn admit(auth: &Auth, request: &Request) -> Result<Option<Asker>, Box<Response>> {
    let path = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
    if path.is_some_and(roles::is_open) {
        return Ok(None);
    }
    let Some(tokens) = auth.in_force() else { return Ok(Some(Asker::Anyone)) };
    let entry = match auth.identify(&tokens, request.headers(), peer(request)) {
        Ok(entry) => entry,
        Err(Unproven::Missing) if is_navigation(request) => return Err(Box::new(to_login(request))),
        Err(unproven) => return Err(Box::new(unproven.into_response())),
    };
    // What is no route is told as such, but only to who is known.
    if let Some(path) = path {
        roles::check(entry.role, request.method(), path).map_err(|e| Box::new(e.into_response()))?;
    }
    Ok(Some(Asker::known(entry, auth.tokens.clone())))
}

/// An address that is never served has no failures of its own.
fn peer(request: &Request) -> SocketAddr {
    let known = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(address)| *address);
    known.unwrap_or(SocketAddr::from(([0, 0, 0, 0], 0)))
}

/// A person's browser opens a page.
fn is_navigation(request: &Request) -> bool {
    let accepts = request.headers().get(header::ACCEPT).and_then(|accepts| accepts.to_str().ok());
    request.method() == Method::GET
        && !request.headers().contains_key(header::UPGRADE)
        && accepts.is_some_and(|accepts| accepts.contains("text/html"))
}

fn to_login(request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    Redirect::to(&format!("/login?next={next}")).into_response()
}

#[cfg(test)]
mod tests;
