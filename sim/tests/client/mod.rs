//! A plain ComfyUI client for these tests.
#![allow(dead_code, reason = "each test target uses a part")]

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

const PATIENCE: Duration = Duration::from_secs(30);

pub(crate) fn http() -> reqwest::Client {
    // Fails where another test of this program has done it already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().timeout(PATIENCE).build().unwrap()
}

pub(crate) async fn submit(url: &str, body: &Value) -> Value {
    let answer = http().post(format!("{url}/prompt")).json(body).send().await.unwrap();
    assert_eq!(answer.status(), 200, "{}", answer.text().await.unwrap());
    answer.json().await.unwrap()
}

pub(crate) async fn get(url: &str) -> Value {
    http().get(url).send().await.unwrap().json().await.unwrap()
}

pub(crate) async fn bytes(url: &str) -> Vec<u8> {
    http().get(url).send().await.unwrap().error_for_status().unwrap().bytes().await.unwrap().to_vec()
}

/// Load, sample with four steps, save.
pub(crate) fn picture_prompt(model: &str, seed: u64) -> Value {
    json!({
        "1": {"class_type": "SimLoader", "inputs": {"ckpt_name": model, "load_seconds": 0.0, "size_mb": 4000}},
        "2": {"class_type": "SimSampler", "inputs": {
            "model": ["1", 0], "seed": seed, "steps": 4, "step_seconds": 0.0, "width": 16, "height": 8,
            "preview": true,
        }},
        "9": {"class_type": "SaveImage", "inputs": {"images": ["2", 0], "filename_prefix": "t"}},
    })
}

pub(crate) struct Socket {
    stream: WebSocketStream<MaybeTlsStream<TcpStream>>,
    greeting: Option<Value>,
}

impl Socket {
    /// Opens a WebSocket and waits for the first frame: from then on the server knows it.
    pub(crate) async fn open(url: &str, client_id: &str) -> Self {
        let url = format!("{}/ws?clientId={client_id}", url.replace("http:", "ws:"));
        let mut socket = Self { stream: connect_async(url).await.unwrap().0, greeting: None };
        socket.greeting = socket.next().await;
        socket
    }

    pub(crate) async fn send(&mut self, message: &Value) {
        self.stream.send(Message::text(message.to_string())).await.unwrap();
    }

    /// The next frame as the recordings write it: `{text: ...}` or `{binary: ...}`. `None`: it has ended.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        if let Some(greeting) = self.greeting.take() {
            return Some(greeting);
        }
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.stream.next()).await.expect("a frame in time");
            match frame {
                Some(Ok(Message::Text(text))) => {
                    return Some(json!({"text": serde_json::from_str::<Value>(&text).unwrap()}));
                }
                Some(Ok(Message::Binary(bytes))) => return Some(json!({"binary": described(&bytes)})),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
            }
        }
    }

    /// Frames up to and with the first that `ends` says.
    pub(crate) async fn until(&mut self, ends: impl Fn(&Value) -> bool) -> Vec<Value> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await {
            let is_last = ends(&frame);
            frames.push(frame);
            if is_last {
                return frames;
            }
        }
        panic!("the socket ended after {frames:?}");
    }
}

pub(crate) fn ends_run(frame: &Value) -> bool {
    frame["text"]["type"] == "executing" && frame["text"]["data"]["node"].is_null()
}

/// The types of text frames, and the events of binary ones.
pub(crate) fn kinds(frames: &[Value]) -> Vec<String> {
    let kind = |frame: &Value| match frame["text"]["type"].as_str() {
        Some(kind) => kind.to_owned(),
        None => format!("binary {}", frame["binary"]["event"]),
    };
    frames.iter().map(kind).collect()
}

fn described(bytes: &[u8]) -> Value {
    let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
    let event = word(0);
    if event == 4 {
        let length = word(4) as usize;
        let metadata: Value = serde_json::from_slice(&bytes[8..8 + length]).unwrap();
        assert!(bytes[8 + length..].starts_with(&[0xff, 0xd8]), "a JPEG after the metadata");
        return json!({"event": event, "metadata": metadata});
    }
    assert!(bytes[8..].starts_with(&[0xff, 0xd8]), "a JPEG after the type");
    json!({"event": event, "image_type": word(4)})
}
