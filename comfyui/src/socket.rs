//! A WebSocket to one ComfyUI: a stream of frames until it ends, without reconnecting.
//!
//! Owns the connection, its handshake and its signs of life. What happened while it was down is for its caller to find
//! out from `/queue` and `/history`: a server replays nothing.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::Message as Wire;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::message::FrameError;
use crate::{Cause, Client, Error, Frame};

mod connect;

const LISTEN: &str = "listen for messages";
/// How long a farewell may take.
const PART_WITHIN: Duration = Duration::from_secs(1);

/// A connection to `/ws`.
///
/// A server knows one connection a client id: a second one takes the first one's place without a word to it.
///
/// ```no_run
/// use comfyui::{Client, Frame, Socket};
///
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let client = Client::new(&"http://127.0.0.1:8188".parse()?)?;
/// let mut socket = Socket::connect(&client, "me", None).await?;
/// while let Some(frame) = socket.next().await {
///     if let Frame::Message(message) = frame? {
///         println!("{}", message.kind());
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    backend: String,
    life: Life,
    ended: bool,
}

impl Socket {
    /// Connects as this client and, if features are given, tells them first.
    ///
    /// With `{"supports_preview_metadata": true}` previews come with what they belong to, except in 2024.
    ///
    /// # Errors
    /// As HTTP calls; [`Cause::Status`] when the server does not let it in.
    pub async fn connect(client: &Client, client_id: &str, features: Option<&Value>) -> Result<Self, Error> {
        let mut stream = connect::connect(client, client_id).await?;
        if let Some(features) = features {
            let hello = json!({"type": "feature_flags", "data": features}).to_string();
            let sent = timeout(client.bounds().socket_connect, stream.send(Wire::text(hello))).await;
            let sent = sent.map_or(Err(Cause::Timeout), |sent| sent.map_err(connect::cause));
            sent.map_err(|cause| connect::failed(client, cause))?;
        }
        let life = Life::new(client.bounds().socket_ping_after, client.bounds().socket_pong_within);
        Ok(Self { stream, backend: client.backend().to_owned(), life, ended: false })
    }

    /// The next frame; `None` when the connection has been closed, or has broken before.
    ///
    /// Cancel-safe: a call that is dropped loses nothing. A silent server is pinged, and given up when it shows no sign
    /// of life.
    ///
    /// # Errors
    /// [`Cause::Document`] for a frame that cannot be read: more may follow. All others end the connection.
    pub async fn next(&mut self) -> Option<Result<Frame, Error>> {
        while !self.ended {
            let read = match timeout_at(self.life.deadline(), self.stream.next()).await {
                Ok(Some(Ok(Wire::Close(_)))) => {
                    self.part().await;
                    None
                }
                Ok(read) => self.take(read),
                Err(_) => self.ask().await.err().map(|cause| Err(self.end(cause))),
            };
            if read.is_some() {
                return read;
            }
        }
        None
    }

    /// Closes the connection; frames on their way are lost.
    pub async fn close(mut self) {
        let _gone_anyway = timeout(PART_WITHIN, self.stream.close(None)).await;
    }

    fn take(&mut self, read: Option<Result<Wire, connect::WireError>>) -> Option<Result<Frame, Error>> {
        self.life.heard();
        let frame = match read {
            Some(Ok(Wire::Text(text))) => Frame::from_text(&text),
            Some(Ok(Wire::Binary(bytes))) => Frame::from_binary(bytes),
            Some(Ok(Wire::Ping(_) | Wire::Pong(_) | Wire::Frame(_) | Wire::Close(_))) => return None,
            Some(Err(error)) => return Some(Err(self.end(connect::cause(error)))),
            None => {
                self.ended = true;
                return None;
            }
        };
        Some(frame.map_err(|why: FrameError| self.error(Cause::Document(why.to_string()))))
    }

    /// Answers the server's close, so that it need not wait for it.
    async fn part(&mut self) {
        self.ended = true;
        let _gone_anyway = timeout(PART_WITHIN, self.stream.flush()).await;
    }

    /// The server has been silent for long: pings it, or gives it up if it has been pinged.
    async fn ask(&mut self) -> Result<(), Cause> {
        if self.life.asked {
            return Err(Cause::Timeout);
        }
        self.life.ask();
        let sent = timeout_at(self.life.deadline(), self.stream.send(Wire::Ping(bytes::Bytes::new()))).await;
        sent.map_or(Err(Cause::Timeout), |sent| sent.map_err(connect::cause))
    }

    fn end(&mut self, cause: Cause) -> Error {
        self.ended = true;
        self.error(cause)
    }

    fn error(&self, cause: Cause) -> Error {
        Error { operation: LISTEN, backend: self.backend.clone(), cause }
    }
}

/// When the other side was last heard, and what to do about its silence.
#[derive(Debug)]
struct Life {
    since: Instant,
    asked: bool,
    ask_after: Duration,
    answer_within: Duration,
}

impl Life {
    fn new(ask_after: Duration, answer_within: Duration) -> Self {
        Self { since: Instant::now(), asked: false, ask_after, answer_within }
    }

    fn heard(&mut self) {
        (self.since, self.asked) = (Instant::now(), false);
    }

    fn ask(&mut self) {
        (self.since, self.asked) = (Instant::now(), true);
    }

    fn deadline(&self) -> Instant {
        self.since + if self.asked { self.answer_within } else { self.ask_after }
    }
}
