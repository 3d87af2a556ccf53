//! The one task that changes the fleet: takes observations, applies them, publishes the snapshot, and logs what a
//! person should know.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use super::{Change, Fleet, Observation, apply};
use crate::address::without_password;
use crate::id::BackendId;
use crate::{lifecycle, limits};

/// Where observations go, and where the fleet can be seen.
pub fn start(
    fleet: Fleet,
    stop: CancellationToken,
) -> (mpsc::Sender<Observation>, watch::Receiver<Arc<Fleet>>) {
    let (observations, incoming) = mpsc::channel(limits::OBSERVATIONS);
    let (publish, snapshots) = watch::channel(Arc::new(fleet));
    lifecycle::vital("fleet", stop, own(incoming, publish));
    (observations, snapshots)
}

async fn own(mut incoming: mpsc::Receiver<Observation>, publish: watch::Sender<Arc<Fleet>>) {
    while let Some(observation) = incoming.recv().await {
        let backend = observation.backend.clone();
        let (fleet, change) = apply(&publish.borrow(), observation);
        if let Some(change) = change {
            log(&fleet, &backend, change);
        }
        publish.send_replace(Arc::new(fleet));
    }
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
