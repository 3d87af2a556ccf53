//! A collector beside the one that works on the same database: it passes everything on to that one, and takes its place once
//! it is gone. Knows nothing of jobs: what it is asked for is another's to answer.

mod pass;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use door::files::{self, Reloads, Renew};
use door::service;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use url::Url;

use self::pass::Way;
use crate::access::Access;
use crate::config::Config;
use crate::files::{Files, Place};
use crate::metrics::LEADER;
use crate::prepare::{Prepared, peers_http};
use crate::queue::{Candidate, Leader, Postgres, Seen};
use crate::run::{Given, StartError};
use crate::{lifecycle, limits};

/// Between two looks at who works on the database.
const LOOK_EVERY: Duration = Duration::from_millis(500);
const LISTENER_ENDS_WITHIN: Duration = Duration::from_millis(100);

/// What a collector is when it starts.
pub enum Role {
    Leads(Given),
    StandsBy(Standby),
}

pub struct Standby {
    given: Given,
    /// Where the one that leads is reached.
    leader: Arc<watch::Sender<Option<Leader>>>,
    looking: JoinHandle<Box<Postgres>>,
    accepts: CancellationToken,
    /// By which it would know those that stand by for it.
    pass: Option<String>,
    _end: DropGuard,
}

/// Looks who works on the database. Where another does this one answers by it from now on.
///
/// # Errors
/// What a start is refused for as well.
pub async fn role(config: &Config, mut given: Given) -> Result<Role, StartError> {
    let Some(peers) = &config.peers else { return Ok(Role::Leads(given)) };
    let Prepared { access, .. } = Prepared::of(config)?;
    let listener = crate::run::listen(config.listen, given.passed.take()).await?;
    let at_listener = |source| StartError::Listen { address: config.listen, source };
    let listener = listener.into_std().map_err(at_listener)?;
    given.passed = Some(listener.try_clone().map_err(at_listener)?);
    let password = config.database.password.as_ref().map(crate::config::Password::as_str);
    let deposed = CancellationToken::new();
    given.deposed = Some(deposed.clone());
    let candidate = Candidate::new(&peers.database, password, Some(peers.url.clone()), deposed)?;
    let mut candidate = candidate.in_directory(&config.state_directory)?;
    // Now, and not when it is this one's turn.
    Files::can_be_kept(&Place::make(&config.files_place())?).await?;
    let by = match candidate.look().await? {
        Seen::Free(store) => {
            given.store = Some(store);
            return Ok(Role::Leads(given));
        }
        Seen::Led(by) => by,
    };
    let (leader, accepts, end) =
        (Arc::new(watch::Sender::new(by)), CancellationToken::new(), CancellationToken::new());
    let tls = access.tls();
    // Before anybody is told that it listens: until then the signal would end the program.
    let again = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
    let keep = files::keep(Secrets(access), again, Reloads::start());
    tokio::spawn(end.clone().run_until_cancelled_owned(keep));
    let routes = routes(Way::new(peers_http(config)?, leader.subscribe(), end.clone()));
    let listener = TcpListener::from_std(listener).map_err(at_listener)?;
    let limits = limits::connections(lifecycle::file_descriptors(), 1);
    tokio::spawn(door::serve(listener, tls, routes, limits, accepts.clone().cancelled_owned()));
    let shown = leader
        .borrow()
        .as_ref()
        .map_or_else(|| "an unknown address".to_owned(), |leader| leader.url.to_string());
    tracing::info!("standing by at {} for the collector at {shown}, which works on the database", peers.url);
    service::ready(&format!("standing by for the collector at {shown}"));
    let looking = tokio::spawn(look(candidate, Arc::clone(&leader)));
    Ok(Role::StandsBy(Standby { given, leader, looking, accepts, pass: None, _end: end.drop_guard() }))
}

/// Until nobody else works on the database.
async fn look(mut candidate: Candidate, leader: Arc<watch::Sender<Option<Leader>>>) -> Box<Postgres> {
    let mut failed = false;
    loop {
        match candidate.look().await {
            Ok(Seen::Free(store)) => return store,
            Ok(Seen::Led(by)) => {
                failed = false;
                leader.send_if_modified(|leader| {
                    let is_new = *leader != by;
                    *leader = by;
                    is_new
                });
            }
            Err(error) if failed => tracing::debug!(%error, "still not known who works on the database"),
            Err(error) => {
                failed = true;
                tracing::warn!(%error, "it is not known who works on the database");
            }
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

impl Standby {
    /// Returns once this collector is to work on the database, with what it starts with.
    ///
    /// # Errors
    /// The watch over the database was lost.
    pub async fn takes_over(&mut self) -> Result<Given, tokio::task::JoinError> {
        let store = (&mut self.looking).await?;
        self.pass = store.pass();
        tracing::info!("nobody works on the database any more: taking over");
        Ok(Given { store: Some(store), ..std::mem::take(&mut self.given) })
    }

    /// This collector leads at its own address: no more comes in here, and what still waits here goes there.
    pub async fn ends(self, own: Url) {
        self.accepts.cancel();
        // Until the listener here has heard of it what is sent there might come back.
        tokio::time::sleep(LISTENER_ENDS_WITHIN).await;
        let leader = self.pass.clone().map(|pass| Leader { url: own, pass });
        self.leader.send_replace(leader);
        // What is being passed on meanwhile ends by itself.
        tokio::spawn(async move {
            tokio::time::sleep(limits::STOP_WITHIN).await;
            drop(self);
        });
    }
}

/// The certificate is read again when it changes; tokens are for the one that leads to know.
struct Secrets(Access);

impl Renew for Secrets {
    type Error = std::convert::Infallible;

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn renew(&mut self) {
        self.0.renew();
    }

    fn reload(&mut self) -> Result<(), Self::Error> {
        self.0.renew();
        Ok(())
    }
}

/// Signs of its own life; all else is for the one that leads to answer.
fn routes(way: Way) -> Router {
    let leader = way.leader.clone();
    let ready = async move || match leader.borrow().is_some() {
        true => (StatusCode::OK, "standing by\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "it is not known which collector works on the database\n"),
    };
    let text = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
    Router::new()
        .route("/-/healthy", get(|| async { "healthy\n" }))
        .route("/-/ready", get(ready))
        .route("/metrics", get(async move || (text, figures()).into_response()))
        .fallback(pass::on)
        .with_state(way)
}

/// All other figures are those of the one that leads.
fn figures() -> String {
    const NAME: &str = "orchestrator_collector_leader";
    format!("# HELP {NAME} {LEADER}\n# TYPE {NAME} gauge\n{NAME} 0\n")
}
