//! A thousand clients that listen, each with a WebSocket of its own, on one thread: what they hear is counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use futures_util::StreamExt;
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use super::site::Way;
use crate::client::PATIENCE;

/// Silence after which nothing more is on its way.
const SILENCE: Duration = Duration::from_millis(300);
const READ_BUFFER_BYTES: usize = 8 << 10;

pub(super) struct Crowd {
    heard: Arc<Heard>,
    runtime: Runtime,
}

/// What all of them have heard.
#[derive(Default)]
struct Heard {
    frames: Count,
    bytes: AtomicU64,
    progress: AtomicU64,
    ends: Count,
}

/// A number that is waited for.
#[derive(Default)]
struct Count {
    now: AtomicU64,
    wanted: AtomicU64,
    reached: Notify,
}

impl Count {
    fn add_one(&self) {
        if self.now.fetch_add(1, Ordering::SeqCst) + 1 >= self.wanted.load(Ordering::SeqCst) {
            self.reached.notify_one();
        }
    }

    fn now(&self) -> u64 {
        self.now.load(Ordering::SeqCst)
    }

    async fn reach(&self, wanted: u64) {
        self.wanted.store(wanted, Ordering::SeqCst);
        while self.now() < wanted {
            self.reached.notified().await;
        }
    }
}

/// What was heard until a moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tally {
    pub(super) frames: u64,
    pub(super) bytes: u64,
    /// Frames that tell how far a node is.
    pub(super) progress: u64,
}

impl Crowd {
    /// They connect to the addresses in turn. Returns when all have heard what comes first.
    pub(super) fn open(way: Way, clients: usize, addresses: &[SocketAddr]) -> Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let crowd = Self { heard: Arc::default(), runtime: runtime.context("start an async runtime")? };
        crowd.runtime.block_on(async {
            for (client, address) in (0..clients).zip(addresses.iter().cycle()) {
                let socket = connect(&client_of(way, client), *address)
                    .await
                    .with_context(|| format!("connect to {address}"))?;
                tokio::spawn(listen(socket, Arc::clone(&crowd.heard)));
            }
            anyhow::Ok(())
        })?;
        crowd.until(&crowd.heard.frames, clients as u64)?;
        crowd.settle();
        Ok(crowd)
    }

    pub(super) fn tally(&self) -> Tally {
        Tally {
            frames: self.heard.frames.now(),
            bytes: self.heard.bytes.load(Ordering::SeqCst),
            progress: self.heard.progress.load(Ordering::SeqCst),
        }
    }

    /// Waits until so many frames were heard.
    pub(super) fn frames(&self, wanted: u64) -> Result<()> {
        self.until(&self.heard.frames, wanted)
    }

    /// Waits until so many jobs have ended for their clients.
    pub(super) fn ends(&self, wanted: u64) -> Result<()> {
        self.until(&self.heard.ends, wanted)
    }

    /// Waits until nothing more comes.
    pub(super) fn settle(&self) {
        let mut before = None;
        while before != Some(self.heard.frames.now()) {
            before = Some(self.heard.frames.now());
            std::thread::sleep(SILENCE);
        }
    }

    fn until(&self, count: &Count, wanted: u64) -> Result<()> {
        let reached =
            self.runtime.block_on(async { tokio::time::timeout(2 * PATIENCE, count.reach(wanted)).await });
        if reached.is_err() {
            bail!("{} of {wanted} frames were heard within {:?}", count.now(), 2 * PATIENCE);
        }
        Ok(())
    }
}

/// What a client is called. A name of its own on each way: a ComfyUI no longer tells whoever took the name of one that leaves.
pub(super) fn client_of(way: Way, number: usize) -> String {
    format!("{}-{number}", way.name())
}

async fn connect(client: &str, address: SocketAddr) -> Result<WebSocketStream<MaybeTlsStream<TcpStream>>> {
    let config = WebSocketConfig::default().read_buffer_size(READ_BUFFER_BYTES);
    let url = format!("ws://{address}/ws?clientId={client}");
    Ok(tokio_tungstenite::connect_async_with_config(url, Some(config), true).await?.0)
}

async fn listen(mut socket: WebSocketStream<MaybeTlsStream<TcpStream>>, heard: Arc<Heard>) {
    while let Some(Ok(message)) = socket.next().await {
        let Message::Text(text) = message else { continue };
        heard.bytes.fetch_add(text.len() as u64, Ordering::SeqCst);
        if text.contains(r#""progress""#) {
            heard.progress.fetch_add(1, Ordering::SeqCst);
        } else if text.contains(r#""node":null"#) {
            heard.ends.add_one();
        }
        heard.frames.add_one();
    }
}
