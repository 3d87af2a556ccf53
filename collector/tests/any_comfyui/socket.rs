//! The WebSocket side of an ordinary ComfyUI client: what it hears while its prompts run.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use futures_util::{SinkExt, StreamExt};
use image::{ImageFormat, RgbImage};
use serde_json::{Value, json};
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
    Text {
        kind: String,
        data: Value,
    },
    /// What it belongs to comes with it where the client has asked for that.
    Preview {
        picture: RgbImage,
        metadata: Option<Value>,
    },
}

impl Frame {
    pub(crate) fn kind(&self) -> &str {
        match self {
            Self::Text { kind, .. } => kind,
            Self::Preview { .. } => "preview",
        }
    }

    pub(crate) fn preview(&self) -> Option<(&RgbImage, Option<&Value>)> {
        match self {
            Self::Preview { picture, metadata } => Some((picture, metadata.as_ref())),
            Self::Text { .. } => None,
        }
    }

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

    /// Says that it takes previews with metadata, which a server of 2024 does not answer.
    pub(crate) async fn ask_for_metadata(&mut self) -> Result<()> {
        let flags = json!({"type": "feature_flags", "data": {"supports_preview_metadata": true}});
        Ok(self.stream.send(Message::text(flags.to_string())).await?)
    }

    /// Ends the connection; gives what had come meanwhile.
    pub(crate) async fn hang_up(mut self) -> Result<Vec<Frame>> {
        self.stream.send(Message::Close(None)).await?;
        let mut frames = Vec::new();
        while let Some(Ok(message)) = timeout(SILENCE_LIMIT, self.stream.next()).await? {
            match message {
                Message::Text(text) => frames.push(text_frame(&text)?),
                Message::Binary(bytes) => frames.push(preview(&bytes)?),
                Message::Close(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
            }
        }
        Ok(frames)
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

/// Event 1: `u32` 1 (JPEG) or 2 (PNG), picture: what a client gets that asks for nothing else. Event 4: `u32` length of a
/// JSON document, the document, picture.
fn preview(bytes: &[u8]) -> Result<Frame> {
    let (event, rest) = word(bytes)?;
    let (second, rest) = word(rest)?;
    let (metadata, format, picture) = match (event, second) {
        (1, 1) => (None, ImageFormat::Jpeg, rest),
        (1, 2) => (None, ImageFormat::Png, rest),
        (4, length) => {
            let (document, picture) =
                rest.split_at_checked(usize::try_from(length)?).context("metadata cut off")?;
            let metadata: Value = serde_json::from_slice(document)?;
            let format =
                if metadata["image_type"] == "image/png" { ImageFormat::Png } else { ImageFormat::Jpeg };
            (Some(metadata), format, picture)
        }
        header => bail!("header of a binary frame: {header:?}"),
    };
    let picture = image::load_from_memory_with_format(picture, format)?.into_rgb8();
    Ok(Frame::Preview { picture, metadata })
}

fn word(bytes: &[u8]) -> Result<(u32, &[u8])> {
    let (word, rest) = bytes.split_first_chunk().context("a binary frame without a header")?;
    Ok((u32::from_be_bytes(*word), rest))
}
