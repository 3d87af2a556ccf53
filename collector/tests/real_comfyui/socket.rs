//! The WebSocket side of an ordinary ComfyUI client: what it hears while its prompts run.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::StreamExt;
use image::RgbImage;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than any silence that a scenario asks for: waiting for another attempt is the longest.
const SILENCE_LIMIT: Duration = Duration::from_secs(60);

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

#[derive(Debug)]
pub(crate) enum Frame {
    Text { kind: String, data: Value },
    Preview(RgbImage),
}

impl Frame {
    /// The data of a message of this type.
    pub(crate) fn data_of(&self, wanted: &str) -> Option<&Value> {
        match self {
            Self::Text { kind, data } if kind == wanted => Some(data),
            _ => None,
        }
    }
}

impl Socket {
    /// Connects, and hears who it is first.
    pub(crate) async fn open(base: &str, client_id: &str) -> Result<Self> {
        let url = format!("{}/ws?clientId={client_id}", base.replacen("http", "ws", 1));
        let (stream, _) = connect_async(&url).await.with_context(|| format!("connect to {url}"))?;
        let mut socket = Self { stream };
        let first = socket.next().await?;
        let status = first.data_of("status").with_context(|| format!("first frame: {first:?}"))?;
        ensure!(status["sid"] == client_id, "first status: {status}");
        ensure!(status["status"]["exec_info"]["queue_remaining"].is_u64(), "first status: {status}");
        Ok(socket)
    }

    /// The next frame of a kind that ComfyUI of any version sends.
    pub(crate) async fn next(&mut self) -> Result<Frame> {
        loop {
            let message =
                timeout(SILENCE_LIMIT, self.stream.next()).await.context("the socket fell silent")?;
            match message.context("the socket was closed")?? {
                Message::Text(text) => return text_frame(&text),
                Message::Binary(bytes) => return preview(&bytes),
                Message::Close(frame) => bail!("the socket was closed: {frame:?}"),
                Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
    }

    /// Reads up to the first frame that `wanted` likes, and gives that one's data.
    pub(crate) async fn find(&mut self, wanted: impl Fn(&Frame) -> bool) -> Result<Frame> {
        loop {
            let frame = self.next().await?;
            if wanted(&frame) {
                return Ok(frame);
            }
        }
    }

    /// All frames up to the end of this prompt, that one included. Every other frame must be about the same prompt,
    /// or about none.
    pub(crate) async fn follow(&mut self, prompt_id: &str) -> Result<Vec<Frame>> {
        let mut frames = Vec::new();
        loop {
            let frame = self.next().await?;
            if let Frame::Text { kind, data } = &frame {
                let about = data.get("prompt_id").and_then(Value::as_str);
                ensure!(about.is_none_or(|id| id == prompt_id), "{kind} of another prompt: {data}");
            }
            let ended = frame.data_of("executing").is_some_and(|data| data["node"].is_null());
            frames.push(frame);
            if ended {
                return Ok(frames);
            }
        }
    }
}

fn text_frame(text: &str) -> Result<Frame> {
    let mut message: Value = serde_json::from_str(text).with_context(|| format!("no JSON: {text}"))?;
    let kind = message["type"].as_str().with_context(|| format!("no type: {text}"))?.to_owned();
    Ok(Frame::Text { kind, data: message["data"].take() })
}

/// `u32 1`, `u32` 1 (JPEG) or 2 (PNG), picture: what a client gets that asks for nothing else.
fn preview(bytes: &[u8]) -> Result<Frame> {
    let (header, picture) = bytes.split_at_checked(8).context("a binary frame without a header")?;
    let format = match header {
        [0, 0, 0, 1, 0, 0, 0, 1] => image::ImageFormat::Jpeg,
        [0, 0, 0, 1, 0, 0, 0, 2] => image::ImageFormat::Png,
        _ => bail!("header of a binary frame: {header:?}"),
    };
    Ok(Frame::Preview(image::load_from_memory_with_format(picture, format)?.into_rgb8()))
}
