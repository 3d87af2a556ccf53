//! The one task that changes the fleet: takes observations and orders, applies them, publishes the snapshot, and logs
//! what a person should know.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::order::obey;
use super::{Change, Fleet, Observation, Order, apply};
use crate::address::without_password;
use crate::id::BackendId;
use crate::{lifecycle, limits};

/// What the owner is told. One channel for both: what was seen of a backend before it was removed is not taken for news
/// of another that came after it under the same name.
#[derive(Debug)]
pub enum News {
    Seen(Observation),
    /// Answered once the fleet that obeys it can be seen.
    Ordered(Order, oneshot::Sender<()>),
}

/// Where news go, and where the fleet can be seen.
pub fn start(fleet: Fleet, stop: CancellationToken) -> (mpsc::Sender<News>, watch::Receiver<Arc<Fleet>>) {
    let (news, incoming) = mpsc::channel(limits::OBSERVATIONS);
    let (publish, snapshots) = watch::channel(Arc::new(fleet));
    lifecycle::vital("fleet", stop, own(incoming, publish));
    (news, snapshots)
}

async fn own(mut incoming: mpsc::Receiver<News>, publish: watch::Sender<Arc<Fleet>>) {
    while let Some(news) = incoming.recv().await {
        match news {
            News::Seen(observation) => see(&publish, observation),
            News::Ordered(order, done) => {
                let fleet = obey(&publish.borrow(), order);
                publish.send_replace(Arc::new(fleet));
                // Whoever ordered it may be gone.
                let _ = done.send(());
            }
        }
    }
}

fn see(publish: &watch::Sender<Arc<Fleet>>, observation: Observation) {
    let backend = observation.backend.clone();
    let (fleet, change) = apply(&publish.borrow(), observation);
    if let Some(change) = change {
        log(&fleet, &backend, change);
    }
    publish.send_replace(Arc::new(fleet));
}

fn log(fleet: &Fleet, id: &BackendId, change: Change) {
    let Some(backend) = fleet.get(id) else { return };
    let (url, agent) = (without_password(&backend.url), without_password(&backend.agent_url));
    match change {
        Change::Up => tracing::info!(backend = %id, %url, "backend is up"),
        Change::Down { reason } => {
            tracing::warn!(backend = %id, %url, reason, "backend is down; its jobs wait or go elsewhere, and it is asked again");
        }
        Change::CatalogUnreadable { reason } => {
            tracing::warn!(backend = %id, %url, reason, "backend answers, but what it offers cannot be read; it gets no job");
        }
        Change::AgentUp => tracing::info!(backend = %id, %agent, "agent is up"),
        Change::AgentDown { reason } => {
            tracing::warn!(backend = %id, %agent, reason, "agent is down; its host's figures are unknown");
        }
    }
}
