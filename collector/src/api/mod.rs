//! The collector as a ComfyUI, and its own routes. A handler reads snapshots and the store, hands changes to the queue
//! or to dispatch, and waits for a backend only to stream bytes.

mod auth;
pub mod comfyui;
mod dashboard;
mod error;
mod figures;
mod interface;
mod operate;
mod orchestrator;
pub(crate) mod passed;

use std::sync::Arc;

use axum::Router;
use door::files::Reloads;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::auth::Asker;
pub use self::auth::{Auth, Elsewhere};
pub use self::error::Refusal;
pub use self::interface::Interface;
use crate::archive::Archive;
use crate::chronicle::Chronicle;
use crate::clients::Clients;
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::event::{Hub, Journal};
use crate::files::Files;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::queue::Queue;
use crate::roster::Roster;
use crate::webhook::Rules;
use crate::{lifecycle, limits};

/// All that handlers may use.
pub struct App {
    pub queue: Queue,
    pub files: Arc<Files>,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub dispatch: Dispatch,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    /// For streaming files and what the web interface keeps for its users; what changes a backend goes through dispatch.
    pub clients: Clients,
    pub interface: Interface,
    pub roster: Roster,
    /// Where webhooks may be sent; `None`: no job may ask for one.
    pub webhooks: Option<Rules>,
    /// What changes, for those who follow the fleet.
    pub journal: Arc<Journal>,
    /// Figures for them, the newest.
    pub live: watch::Sender<Arc<str>>,
    pub chronicle: Arc<Chronicle>,
    /// Places for those who follow a job or the fleet.
    pub followers: Arc<Semaphore>,
    /// Copies of what jobs have made, where there are to be any.
    pub archive: Option<Arc<Archive>>,
    pub clock: Clock,
    pub max_body_bytes: usize,
    /// Passes for answers that may be very large.
    pub large_answers: Semaphore,
    /// Passes for pictures that are decoded.
    pub pictures: Semaphore,
    /// How reading the configuration again has gone.
    pub reloads: watch::Receiver<Reloads>,
    /// The certificate that is shown, if there is one.
    pub tls: Option<Tls>,
}

impl App {
    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.borrow())
    }
}

/// How to speak TLS, now and after the certificate has changed.
pub type Tls = watch::Receiver<Arc<door::files::Tls>>;

/// What is asked of whoever asks, at the main address and at the web interface's.
pub struct Guards {
    pub main: Arc<Auth>,
    /// The interface's listener, if it has one.
    pub interface: Option<(TcpListener, Arc<Auth>)>,
    /// What collectors that stand by for this one show.
    pub pass: Option<String>,
}

/// Serves until told to stop.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    app: Arc<App>,
    guards: Guards,
    stop: CancellationToken,
) {
    tokio::spawn(comfyui::announce_queue(Arc::clone(&app), stop.clone()));
    tokio::spawn(orchestrator::write_feed(Arc::clone(&app), stop.clone()));
    tokio::spawn(orchestrator::write_live(Arc::clone(&app), stop.clone()));
    let Guards { main, interface, pass } = guards;
    let pass: Option<Arc<str>> = pass.map(Into::into);
    let limits = limits::connections(lifecycle::file_descriptors(), 1 + usize::from(interface.is_some()));
    let max_body_bytes = app.max_body_bytes;
    let bare = match &interface {
        None => bare_routes(stop.clone(), max_body_bytes),
        // None of the interface's files, some of which are foreign code.
        Some(_) => without_interface(stop.clone(), max_body_bytes),
    };
    let main = door::serve(
        listener,
        tls.clone(),
        passed::known_by(pass, routes(bare, &app, main)),
        limits,
        stop.clone().cancelled_owned(),
    );
    let beside = async {
        let Some((listener, auth)) = interface else { return };
        let routes = routes(interface_routes(stop.clone(), max_body_bytes), &app, auth);
        door::serve(listener, tls, routes, limits, stop.cancelled_owned()).await;
    };
    tokio::join!(main, beside);
}

/// Everything at one address.
fn bare_routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    without_interface(stop, max_body_bytes).merge(interface::files())
}

/// The web interface's own address: nothing but what a ComfyUI has.
fn interface_routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    comfyui_routes(stop, max_body_bytes).merge(interface::files()).merge(operate::signs_of_life())
}

fn without_interface(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    comfyui_routes(stop.clone(), max_body_bytes)
        .merge(dashboard::routes())
        .merge(orchestrator::routes(stop, max_body_bytes))
        .merge(operate::signs_of_life())
        .merge(operate::figures())
}

/// Every route of ComfyUI stands as `/x` and, as the web interface wants it, as `/api/x`; those of jobs only so.
fn comfyui_routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    let comfyui = comfyui::routes(stop, max_body_bytes).merge(interface::documents());
    Router::new().merge(comfyui.clone()).nest("/api", comfyui.merge(comfyui::job_routes()))
}

fn routes(bare: Router<Arc<App>>, app: &Arc<App>, auth: Arc<Auth>) -> Router {
    let bare = bare.fallback(error::unknown_path).method_not_allowed_fallback(error::wrong_method);
    auth::guarded(bare, auth).with_state(Arc::clone(app))
}
