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

use std::sync::Arc;

use axum::Router;
use door::files::Reloads;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

use self::auth::Asker;
pub use self::auth::Auth;
pub use self::error::Refusal;
pub use self::interface::Interface;
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

/// Serves until told to stop.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    app: Arc<App>,
    auth: Arc<Auth>,
    stop: CancellationToken,
) {
    tokio::spawn(comfyui::announce_queue(Arc::clone(&app), stop.clone()));
    tokio::spawn(orchestrator::write_feed(Arc::clone(&app), stop.clone()));
    tokio::spawn(orchestrator::write_live(Arc::clone(&app), stop.clone()));
    let routes = routes(app, auth, stop.clone());
    let limits = limits::connections(lifecycle::file_descriptors());
    door::serve(listener, tls, routes, limits, stop.cancelled_owned()).await;
}

/// Every route of ComfyUI stands as `/x` and, as the web interface wants it, as `/api/x`; those of jobs only so.
fn bare_routes(stop: CancellationToken, max_body_bytes: usize) -> Router<Arc<App>> {
    let comfyui = comfyui::routes(stop.clone(), max_body_bytes).merge(interface::documents());
    Router::new()
        .merge(comfyui.clone())
        .nest("/api", comfyui.merge(comfyui::job_routes()))
        .merge(interface::files())
        .merge(dashboard::routes())
        .merge(orchestrator::routes(stop, max_body_bytes))
        .merge(operate::routes())
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::wrong_method)
}

fn routes(app: Arc<App>, auth: Arc<Auth>, stop: CancellationToken) -> Router {
    auth::guarded(bare_routes(stop, app.max_body_bytes), auth).with_state(app)
}
