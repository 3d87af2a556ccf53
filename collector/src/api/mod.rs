//! The collector as a ComfyUI, and its own routes. A handler reads snapshots and the store, hands changes to the queue
//! or to dispatch, and waits for a backend only to stream bytes.

pub mod comfyui;
mod error;
mod figures;
mod operate;
mod orchestrator;
mod origin;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ::comfyui::Client;
use axum::Router;
use axum::serve::ListenerExt;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub use self::error::Refusal;
use crate::clock::Clock;
use crate::dispatch::Dispatch;
use crate::event::Hub;
use crate::files::Files;
use crate::fleet::Fleet;
use crate::id::BackendId;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// All that handlers may use.
pub struct App {
    pub queue: Queue,
    pub files: Arc<Files>,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub dispatch: Dispatch,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    /// For streaming files only; what changes a backend goes through dispatch.
    pub clients: HashMap<BackendId, Client>,
    pub clock: Clock,
    pub max_body_bytes: usize,
    /// Passes for answers that may be very large.
    pub large_answers: Semaphore,
}

impl App {
    pub(crate) fn fleet(&self) -> Arc<Fleet> {
        Arc::clone(&self.fleet.borrow())
    }
}

/// Serves until told to stop.
pub async fn serve(listener: TcpListener, app: Arc<App>, stop: CancellationToken) {
    tokio::spawn(comfyui::announce_queue(Arc::clone(&app), stop.clone()));
    let service = routes(app, stop.clone()).into_make_service_with_connect_info::<SocketAddr>();
    let listener = listener.tap_io(|connection| {
        // A frame of progress must not wait for the acknowledgement of the one before it.
        let _ = connection.set_nodelay(true);
    });
    let served = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::error!(%error, "the server ended");
    }
}

/// Every route of ComfyUI stands as `/x` and, as the web interface wants it, as `/api/x`; those of jobs only so.
fn routes(app: Arc<App>, stop: CancellationToken) -> Router {
    let comfyui = comfyui::routes(stop, app.max_body_bytes);
    Router::new()
        .merge(comfyui.clone())
        .nest("/api", comfyui.merge(comfyui::job_routes()))
        .merge(orchestrator::routes())
        .merge(operate::routes())
        .fallback(error::unknown_path)
        .method_not_allowed_fallback(error::wrong_method)
        .layer(axum::middleware::from_fn(origin::refuse_foreign))
        .with_state(app)
}
