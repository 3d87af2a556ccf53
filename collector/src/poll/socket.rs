//! Holds one WebSocket to a backend: what it says of our prompts goes to dispatch, that it is open to the fleet.
//! After a loss nothing is replayed by ComfyUI, so dispatch is told and looks what has become of its jobs.

use std::sync::Arc;

use comfyui::Cause;
use comfyui::message::Frame;
use comfyui::socket::Socket;
use serde_json::json;
use tokio::sync::watch;

use super::Poller;
use super::ear::Ear;
use crate::fleet::Seen;
use crate::id::BackendId;

pub struct SocketEvent {
    pub backend: BackendId,
    pub heard: Heard,
}

pub enum Heard {
    Opened,
    Frame(Box<Frame>),
    Closed,
}

pub(super) async fn listen(poller: Poller, ear: Arc<watch::Sender<Ear>>) {
    // With metadata a preview names its prompt; without, it belongs to whatever runs.
    let features = json!({ "supports_preview_metadata": true });
    let mut failures = 0;
    while !poller.heard.is_closed() {
        match Socket::connect(&poller.client, poller.client_id.as_str(), Some(&features)).await {
            Ok(mut socket) => {
                failures = 0;
                follow(&poller, &mut socket, &ear).await;
                ear.send_replace(Ear::default());
            }
            Err(error) => {
                tracing::debug!(backend = %poller.backend, %error, "its WebSocket cannot be opened")
            }
        }
        failures += 1;
        tokio::time::sleep(poller.intervals.pause(failures)).await;
    }
}

async fn follow(poller: &Poller, socket: &mut Socket, ear: &watch::Sender<Ear>) {
    ear.send_replace(Ear::opened(poller.clock.now()));
    let mut deaf = ear.subscribe();
    let mut open = tell(poller, Heard::Opened).await && poller.observe(Seen::SocketOpened).await;
    while open {
        let said = tokio::select! {
            said = socket.next() => said,
            _ = deaf.wait_for(Ear::is_deaf) => {
                tracing::info!(backend = %poller.backend, "it has forgotten its WebSocket to here: opening another");
                break;
            }
        };
        ear.send_if_modified(|ear| {
            ear.hears(poller.clock.now());
            false
        });
        open = match said {
            Some(Ok(frame)) => tell(poller, Heard::Frame(Box::new(frame))).await,
            Some(Err(error)) if matches!(error.cause, Cause::Document(_)) => {
                tracing::debug!(backend = %poller.backend, %error, "a frame was passed over");
                true
            }
            Some(Err(error)) => {
                tracing::debug!(backend = %poller.backend, %error, "its WebSocket was lost");
                false
            }
            None => false,
        };
    }
    tell(poller, Heard::Closed).await;
    poller.observe(Seen::SocketClosed).await;
}

async fn tell(poller: &Poller, heard: Heard) -> bool {
    let event = SocketEvent { backend: poller.backend.clone(), heard };
    poller.heard.send(event).await.is_ok()
}
