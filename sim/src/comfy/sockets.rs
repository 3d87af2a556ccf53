//! Who hears what: the open WebSockets of a server by `clientId`, and the frames they get.

use axum::extract::ws::{Message, Utf8Bytes};
use indexmap::IndexMap;
use serde_json::{Value, json};
use tokio::sync::mpsc::UnboundedSender;

const PREVIEW: u32 = 1;
const PREVIEW_WITH_METADATA: u32 = 4;
const JPEG: u32 = 1;

/// One WebSocket.
#[derive(Debug)]
pub(crate) struct Socket {
    // Unbounded, as in ComfyUI: a client that does not read grows the server's memory.
    pub(crate) frames: UnboundedSender<Message>,
    /// Whether the client asked for previews with metadata.
    pub(crate) wants_metadata: bool,
}

/// The open WebSockets. A second one with the same `clientId` takes the first one's place silently: that one
/// stays open and hears nothing more.
#[derive(Debug, Default)]
pub(crate) struct Sockets {
    heard: IndexMap<String, Socket>,
    replaced: Vec<Socket>,
}

impl Sockets {
    pub(crate) fn open(&mut self, client_id: &str, frames: UnboundedSender<Message>) {
        self.replaced.retain(|socket| !socket.frames.is_closed());
        // Taken out first: the newest is the last to be told, as in the original's dictionary.
        self.replaced.extend(self.heard.shift_remove(client_id));
        self.heard.insert(client_id.to_owned(), Socket { frames, wants_metadata: false });
    }

    /// What ComfyUI does when *any* socket of that id ends: the one that took its place stays open and hears nothing more.
    pub(crate) fn close(&mut self, client_id: &str) {
        self.replaced.extend(self.heard.shift_remove(client_id));
        self.replaced.retain(|socket| !socket.frames.is_closed());
    }

    pub(crate) fn drop_all(&mut self) {
        self.heard.clear();
        self.replaced.clear();
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.heard.keys().cloned().collect()
    }

    pub(crate) fn set_wants_metadata(&mut self, client_id: &str, wants: bool) {
        if let Some(socket) = self.heard.get_mut(client_id) {
            socket.wants_metadata = wants;
        }
    }

    pub(crate) fn wants_metadata(&self, client_id: Option<&str>) -> bool {
        client_id.and_then(|id| self.heard.get(id)).is_some_and(|socket| socket.wants_metadata)
    }

    /// Sends to one client, or to all where the event belongs to nobody.
    pub(crate) fn send(&self, kind: &str, data: &Value, to: Option<&str>) {
        let text = json!({"type": kind, "data": data}).to_string();
        self.frame(&Message::Text(Utf8Bytes::from(text)), to);
    }

    pub(crate) fn send_preview(&self, jpeg: &[u8], to: Option<&str>) {
        let frame = [&PREVIEW.to_be_bytes(), &JPEG.to_be_bytes(), jpeg].concat();
        self.frame(&Message::Binary(frame.into()), to);
    }

    pub(crate) fn send_preview_with_metadata(&self, jpeg: &[u8], metadata: &Value, to: Option<&str>) {
        let metadata = metadata.to_string();
        let length = u32::try_from(metadata.len()).unwrap_or(u32::MAX);
        let head = [PREVIEW_WITH_METADATA.to_be_bytes(), length.to_be_bytes()].concat();
        let frame = [head.as_slice(), metadata.as_bytes(), jpeg].concat();
        self.frame(&Message::Binary(frame.into()), to);
    }

    fn frame(&self, frame: &Message, to: Option<&str>) {
        let meant = self.heard.iter().filter(|(id, _)| to.is_none_or(|to| to == id.as_str()));
        for (_, socket) in meant {
            // Where the socket has just ended nobody is left to hear it.
            let _ = socket.frames.send(frame.clone());
        }
    }
}
