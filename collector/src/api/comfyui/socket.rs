//! `/ws`: a client's own jobs, from whichever backend runs them.

use std::sync::Arc;

use axum::Extension;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::prompt::checked_client_id;
use super::{App, Asker, Refusal};
use crate::event::{Event, Listener, Subscription};
use crate::id::ClientId;
use crate::limits;

#[derive(Deserialize)]
pub(super) struct Asked {
    #[serde(rename = "clientId")]
    client_id: Option<String>,
}

pub(super) async fn open(
    State(app): State<Arc<App>>,
    Extension(stop): Extension<CancellationToken>,
    Extension(asker): Extension<Asker>,
    Query(asked): Query<Asked>,
    upgrade: WebSocketUpgrade,
) -> Result<Response, Refusal> {
    let named = asked.client_id.filter(|name| !name.is_empty());
    let client = named.as_deref().map(checked_client_id).transpose()?.unwrap_or_else(ClientId::random);
    let hello = Event::status(app.queue.snapshot().len(), Some(client.as_str()));
    let full = || {
        Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "too_many_sockets", "too many clients are connected")
    };
    let listener = Listener { owner: asker.name().map(str::to_owned), client };
    let subscription = app.hub.subscribe(listener, hello).ok_or_else(full)?;
    let max_body_bytes = app.max_body_bytes;
    let upgrade = upgrade.max_message_size(limits::CLIENT_MESSAGE_BYTES);
    Ok(upgrade.on_upgrade(move |socket| serve(socket, subscription, asker, stop, max_body_bytes)))
}

async fn serve(
    mut socket: WebSocket,
    mut events: Subscription,
    mut asker: Asker,
    stop: CancellationToken,
    max_body_bytes: usize,
) {
    let mut with_metadata = false;
    let mut open = true;
    while open {
        open = tokio::select! {
            () = stop.cancelled() => break,
            () = asker.lost() => break,
            event = events.next() => match event {
                Some(event) => send(&mut socket, frame(event, with_metadata)).await,
                None => break,
            },
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) => match feature_flags(&text) {
                    Some(flags) => {
                        with_metadata = flags;
                        send(&mut socket, our_features(max_body_bytes)).await
                    }
                    None => true,
                },
                Some(Ok(_)) => true,
                Some(Err(_)) | None => false,
            },
        };
    }
    // The other side may be gone already.
    send(&mut socket, Message::Close(None)).await;
}

/// False when the client is gone, or reads so slowly that it may as well be.
async fn send(socket: &mut WebSocket, message: Message) -> bool {
    let sent = tokio::time::timeout(limits::CLIENT_SEND, socket.send(message)).await;
    matches!(sent, Ok(Ok(())))
}

fn frame(event: Event, with_metadata: bool) -> Message {
    match event {
        Event::Text { text, .. } => Message::Text(text),
        Event::Preview { with_metadata: Some(bytes), .. } if with_metadata => Message::Binary(bytes),
        Event::Preview { plain, .. } => Message::Binary(plain),
    }
}

/// Whether the client takes previews with metadata, if this is the message that says so.
fn feature_flags(text: &str) -> Option<bool> {
    let message: Value = serde_json::from_str(text).ok()?;
    let is_flags = message.get("type")?.as_str()? == "feature_flags";
    let wanted = || message.get("data")?.get("supports_preview_metadata")?.as_bool();
    is_flags.then(|| wanted().unwrap_or(false))
}

fn our_features(max_body_bytes: usize) -> Message {
    let data = json!({ "supports_preview_metadata": true, "max_upload_size": max_body_bytes });
    Message::Text(json!({ "type": "feature_flags", "data": data }).to_string().into())
}
