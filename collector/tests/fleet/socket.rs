//! A client's WebSocket.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::client::Client;
use super::wait::PATIENCE;

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// A frame as a client reads it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Frame {
    Text {
        kind: String,
        data: Value,
    },
    /// Event 1: a JPEG and nothing else.
    Preview,
    /// Event 4: a JPEG and what it belongs to.
    PreviewOf(Value),
}

impl Frame {
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Text { kind, .. } => kind,
            Self::Preview => "preview",
            Self::PreviewOf(_) => "preview with metadata",
        }
    }

    /// Null for a preview without metadata.
    pub(crate) fn data(&self) -> Value {
        match self {
            Self::Text { data, .. } | Self::PreviewOf(data) => data.clone(),
            Self::Preview => Value::Null,
        }
    }

    /// The job that it names, if it names one.
    pub(crate) fn job(&self) -> Option<String> {
        self.data()["prompt_id"].as_str().map(str::to_owned)
    }

    /// ComfyUI's last word on a job: `executing` without a node.
    pub(crate) fn ends(&self, job: &str) -> bool {
        self.kind() == "executing" && self.data()["node"].is_null() && self.job().as_deref() == Some(job)
    }
}

fn request(client: &Client) -> Request {
    let url = format!("{}/ws?clientId={}", client.url.replace("http:", "ws:"), client.id);
    url.into_client_request().unwrap()
}

impl Socket {
    /// Opens one and waits for its first frame: from then on it hears its client's jobs.
    pub(crate) async fn open(client: &Client) -> Self {
        Self::greeted(client, connect_async(request(client)).await.unwrap().0).await
    }

    /// The same, showing a token.
    pub(crate) async fn open_showing(client: &Client, token: &str) -> Self {
        let mut request = request(client);
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        Self::greeted(client, connect_async(request).await.unwrap().0).await
    }

    /// The status of the answer to one who shows nothing.
    pub(crate) async fn refused(client: &Client) -> u16 {
        match connect_async(request(client)).await {
            Err(tungstenite::Error::Http(answer)) => answer.status().as_u16(),
            other => panic!("{other:?}"),
        }
    }

    async fn greeted(client: &Client, stream: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        let mut socket = Self { stream };
        let greeting = socket.next().await.unwrap();
        assert_eq!((greeting.kind(), &greeting.data()["sid"]), ("status", &json!(client.id)));
        socket
    }

    /// Says that it takes previews with metadata.
    pub(crate) async fn with_metadata(mut self) -> Self {
        let flags = json!({"type": "feature_flags", "data": {"supports_preview_metadata": true}});
        self.stream.send(Message::text(flags.to_string())).await.unwrap();
        self.until(|frame| frame.kind() == "feature_flags").await;
        self
    }

    /// The next frame; `None`: the connection has ended.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
            match frame {
                Some(Ok(Message::Text(text))) => return Some(text_frame(&text)),
                Some(Ok(Message::Binary(bytes))) => return Some(binary_frame(&bytes)),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// Frames up to and with the first that `last` says; those on the state of the queue are left out.
    pub(crate) async fn until(&mut self, last: impl Fn(&Frame) -> bool) -> Vec<Frame> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let is_last = last(&frame);
            if frame.kind() != "status" {
                frames.push(frame);
            }
            if is_last {
                return frames;
            }
        }
        panic!("the socket ended after {frames:?}");
    }

    pub(crate) async fn until_end_of(&mut self, job: &str) -> Vec<Frame> {
        self.until(|frame| frame.ends(job)).await
    }
}

fn text_frame(text: &str) -> Frame {
    let mut frame: Value = serde_json::from_str(text).unwrap();
    Frame::Text { kind: frame["type"].as_str().unwrap().to_owned(), data: frame["data"].take() }
}

fn binary_frame(bytes: &[u8]) -> Frame {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let is_jpeg = |from: usize| assert!(bytes[from..].starts_with(&[0xff, 0xd8]), "a JPEG");
    match word(0) {
        1 => {
            assert_eq!(word(4), 1, "the code of a JPEG");
            is_jpeg(8);
            Frame::Preview
        }
        4 => {
            let end = 8 + word(4) as usize;
            is_jpeg(end);
            Frame::PreviewOf(serde_json::from_slice(&bytes[8..end]).unwrap())
        }
        other => panic!("a binary event {other}"),
    }
}

/// The kinds of frames in their order, repetitions once: how often progress is told is left open by ComfyUI.
pub(crate) fn order(frames: &[Frame]) -> Vec<&str> {
    let mut kinds: Vec<&str> = frames.iter().map(Frame::kind).collect();
    kinds.dedup();
    kinds
}
