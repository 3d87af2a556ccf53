//! Who asks, and what they may do. Every request passes here before any route sees it: `origin` refuses other sites'
//! pages, `check` finds out who asks and asks `roles` whether they may.
//!
//! Without a file of tokens everybody is `Anyone` and may do everything. The web interface may have an address of its own;
//! `apart` says how the two are kept apart.

mod apart;
mod asker;
mod attempts;
mod cookies;
mod credentials;
mod login;
mod origin;
mod page;
mod roles;
mod sessions;
mod sites;
mod tickets;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Redirect, Response};
use tokio::sync::watch;
use url::Url;

pub use self::apart::Elsewhere;
pub(crate) use self::asker::Asker;
use self::attempts::Attempts;
use self::cookies::Cookies;
use self::credentials::Shown;
use self::sessions::Sessions;
use self::sites::Sites;
use self::tickets::Tickets;
use super::Refusal;
use crate::access::{Digest, Entry, Role, Tokens};

/// What is asked of whoever asks at one address, and who has shown it.
pub struct Auth {
    tokens: Option<watch::Receiver<Arc<Tokens>>>,
    sessions: Sessions,
    attempts: Arc<Attempts>,
    allowed_hosts: Vec<String>,
    sites: Sites,
    cookies: Cookies,
    side: Side,
}

/// Which address it is.
enum Side {
    /// Where tokens are shown; and where the web interface is, if that has an address of its own.
    Main { tickets: Tickets, interface: Option<Elsewhere> },
    /// The web interface's own. `at`: where the main one is.
    Interface { main: Arc<Auth>, at: Elsewhere },
}

impl Auth {
    /// `secure`: browsers reach it over TLS.
    pub fn new(
        tokens: Option<watch::Receiver<Arc<Tokens>>>,
        allowed_hosts: Vec<String>,
        secure: bool,
        interface: Option<Elsewhere>,
    ) -> Self {
        let (sessions, attempts, sites, tickets) = Default::default();
        let cookies = Cookies { name: "orchestrator", secure };
        let side = Side::Main { tickets, interface };
        Self { tokens, sessions, attempts, allowed_hosts, sites, cookies, side }
    }

    /// The same, for the pages of these sites too.
    pub fn with_sites(self, origins: &[Url]) -> Self {
        Self { sites: Sites::of(origins), ..self }
    }

    /// For the web interface at an address of its own, beside this one.
    pub fn of_interface(main: &Arc<Self>, at: Elsewhere, secure: bool) -> Self {
        Self {
            tokens: main.tokens.clone(),
            sessions: Sessions::default(),
            attempts: Arc::clone(&main.attempts),
            allowed_hosts: main.allowed_hosts.clone(),
            sites: main.sites.clone(),
            cookies: Cookies { name: "orchestrator_interface", secure },
            side: Side::Interface { main: Arc::clone(main), at },
        }
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

    /// Who shows a token in the header, else whose session a cookie names. A header decides alone: whoever sends one
    /// means it.
    fn identify(
        &self,
        tokens: &Tokens,
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Result<Arc<Entry>, Unproven> {
        let entry = match credentials::shown(headers, &self.cookies.session()) {
            Shown::Token(token) => self.prove(tokens, token, address)?,
            Shown::Sessions(_) => {
                let token = self.session_of(headers).and_then(|session| self.token_of(&session));
                let entry = token.and_then(|token| tokens.find(&token).cloned());
                entry.ok_or(Unproven::Missing)?
            }
            Shown::Other => return Err(Unproven::Wrong),
            Shown::Nothing => return Err(Unproven::Missing),
        };
        Ok(self.as_here(entry))
    }

    /// The session of this address that a cookie names, unless a page of another origin had the browser show it.
    fn session_of(&self, headers: &HeaderMap) -> Option<Digest> {
        if credentials::is_embedded_elsewhere(headers) || !origin::is_own(headers) {
            return None;
        }
        let name = self.cookies.session();
        let mut ids = credentials::cookies(headers, &name).map(|id| Digest::of(id.as_bytes()));
        ids.find(|id| self.token_of(id).is_some())
    }

    /// With whose token a session was opened, here or at the main address.
    fn token_of(&self, session: &Digest) -> Option<Digest> {
        let behind = self.sessions.behind(session, Instant::now())?;
        match &self.side {
            Side::Main { .. } => Some(behind),
            Side::Interface { main, .. } => main.token_of(&behind),
        }
    }

    /// Code of the backends may act at the web interface's address, so nobody has more rights there than to submit.
    fn as_here(&self, entry: Arc<Entry>) -> Arc<Entry> {
        match &self.side {
            Side::Main { .. } => entry,
            Side::Interface { .. } => Arc::new(Entry { role: Role::Submit, ..(*entry).clone() }),
        }
    }

    /// The session at this address that a ticket stands for, if it has not ended.
    fn take_ticket(&self, ticket: &str) -> Option<Digest> {
        let Side::Main { tickets, .. } = &self.side else { return None };
        tickets.take(ticket, Instant::now()).filter(|session| self.token_of(session).is_some())
    }

    fn interface_is_apart(&self) -> bool {
        matches!(self.side, Side::Main { interface: Some(_), .. })
    }

    fn interface_origin(&self, headers: &HeaderMap) -> Option<String> {
        let Side::Main { interface: Some(interface), .. } = &self.side else { return None };
        interface.origin(headers)
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
    let is_apart = auth.interface_is_apart();
    let own = match &auth.side {
        Side::Main { .. } => login::routes(Arc::clone(&auth)),
        Side::Interface { .. } => apart::interface_routes(Arc::clone(&auth)),
    };
    let routes = routes
        .merge(own)
        .layer(middleware::from_fn_with_state(Arc::clone(&auth), check))
        .layer(middleware::from_fn_with_state(Arc::clone(&auth), origin::refuse_foreign));
    let routes = match auth.sites.layer() {
        Some(layer) => routes.layer(layer),
        None => routes,
    };
    if is_apart { routes.layer(middleware::map_response(not_embedded)) } else { routes }
}

/// A page of the interface's origin can show nothing from here: no picture, no frame.
async fn not_embedded(mut response: Response) -> Response {
    let fields = [
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::X_FRAME_OPTIONS, "SAMEORIGIN"),
    ];
    for (name, value) in fields {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
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
        Err(Unproven::Missing) if is_navigation(request) => return Err(Box::new(to_login(auth, request))),
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

fn to_login(auth: &Auth, request: &Request) -> Response {
    let wanted = request.uri().path_and_query().map_or("/", |wanted| wanted.as_str());
    if let Side::Interface { .. } = auth.side {
        return apart::begin(auth, request.headers(), wanted);
    }
    let next: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    Redirect::to(&format!("/login?next={next}")).into_response()
}

#[cfg(test)]
mod tests;
