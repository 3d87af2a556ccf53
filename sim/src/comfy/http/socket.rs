//! `/ws`: one WebSocket of a client, from the first `status` to its end.

use std::sync::Arc;

use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Extension, Query, State};
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use uuid::Uuid;

use super::stats::feature_flags;
use crate::comfy::process::{Process, status};
use crate::lock::locked;
use crate::wire::Connection;

#[derive(Debug, Deserialize)]
pub(super) struct Client {
    #[serde(default, rename = "clientId")]
    client_id: String,
}

pub(super) async fn open(
    State(process): State<Arc<Process>>,
    Extension(connection): Extension<Connection>,
    Query(client): Query<Client>,
    upgrade: WebSocketUpgrade,
) -> Response {
    let client_id = match client.client_id {
        id if id.is_empty() => Uuid::new_v4().simple().to_string(),
        id => id,
    };
    let tasks = process.life.tasks.clone();
    upgrade.on_upgrade(move |socket| {
        tasks.track_future(async move {
            tokio::select! {
                biased;
                () = connection.0.cancelled() => {}
                () = converse(&process, &client_id, socket) => {}
            }
        })
    })
}

async fn converse(process: &Process, client_id: &str, mut socket: WebSocket) {
    let frames = greet(process, client_id);
    exchange(process, client_id, &mut socket, frames).await;
    locked(&process.sockets).close(client_id);
    process.sockets_changed();
}

/// The first frame; and, for the client whose prompt runs, where it is.
fn greet(process: &Process, client_id: &str) -> UnboundedReceiver<Message> {
    let (sender, frames) = mpsc::unbounded_channel();
    let mut first = status(process.remaining());
    if let Some(first) = first.as_object_mut() {
        first.insert("sid".to_owned(), json!(client_id));
    }
    let current = locked(&process.current).clone();
    let mut sockets = locked(&process.sockets);
    sockets.open(client_id, sender);
    sockets.send("status", &first, Some(client_id));
    if let Some(node) = current.node.filter(|_| current.client_id.as_deref() == Some(client_id)) {
        sockets.send("executing", &json!({"node": node}), Some(client_id));
    }
    drop(sockets);
    process.rig.board.count(|counters| counters.sockets += 1);
    process.sockets_changed();
    frames
}

/// Until the client leaves, or another socket takes this one's place, or all are dropped on command.
async fn exchange(
    process: &Process,
    client_id: &str,
    socket: &mut WebSocket,
    mut frames: UnboundedReceiver<Message>,
) {
    let mut is_first = true;
    loop {
        tokio::select! {
            frame = frames.recv() => {
                let Some(frame) = frame else { return };
                process.rig.gate.answer().await;
                if socket.send(frame).await.is_err() {
                    return;
                }
            }
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => {
                    negotiate(process, client_id, &text, is_first);
                    is_first = false;
                }
                Some(Ok(Message::Close(_)) | Err(_)) | None => return,
                Some(Ok(_)) => {}
            },
        }
    }
}

/// 0.8: the client's first message may say what it supports; the server answers with its own.
fn negotiate(process: &Process, client_id: &str, text: &str, is_first: bool) {
    if !is_first || !process.generation().is_current() {
        return;
    }
    let message: Value = serde_json::from_str(text).unwrap_or_default();
    if message.get("type") != Some(&json!("feature_flags")) {
        return;
    }
    let wants = message.pointer("/data/supports_preview_metadata") == Some(&json!(true));
    let mut sockets = locked(&process.sockets);
    sockets.set_wants_metadata(client_id, wants);
    sockets.send("feature_flags", &feature_flags(), Some(client_id));
}
