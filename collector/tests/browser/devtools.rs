//! The browser's DevTools protocol, as much of it as these tests need: commands with their answers, and what is told besides.

use anyhow::{Context, Result, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

pub(crate) struct Devtools {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    last_id: u64,
    /// A tab, once one is open.
    session: Option<String>,
    /// `{method, params}` of what was told so far and not taken yet.
    told: Vec<Value>,
}

impl Devtools {
    /// Opens a tab and listens to what happens in it.
    pub(crate) async fn open(url: &str) -> Result<Self> {
        let (socket, _) = connect_async(url).await.context("connect to Chromium")?;
        let mut devtools = Self { socket, last_id: 0, session: None, told: Vec::new() };
        let tab = devtools.call("Target.createTarget", json!({"url": "about:blank"})).await?;
        let attach = json!({"targetId": tab["targetId"], "flatten": true});
        let attached = devtools.call("Target.attachToTarget", attach).await?;
        devtools.session = attached["sessionId"].as_str().map(str::to_owned);
        for domain in ["Page", "Runtime", "Network"] {
            devtools.call(&format!("{domain}.enable"), json!({})).await?;
        }
        Ok(devtools)
    }

    /// The result of a command.
    pub(crate) async fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last_id += 1;
        let mut command = json!({"id": self.last_id, "method": method, "params": params});
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        self.socket.send(Message::text(command.to_string())).await?;
        loop {
            let mut message = self.next().await?;
            if message["id"] != self.last_id {
                self.told.push(message);
            } else if let Some(error) = message.get("error") {
                bail!("{method}: {error}");
            } else {
                return Ok(message["result"].take());
            }
        }
    }

    pub(crate) fn take_told(&mut self) -> Vec<Value> {
        std::mem::take(&mut self.told)
    }

    async fn next(&mut self) -> Result<Value> {
        let message = self.socket.next().await.context("Chromium is gone")??;
        Ok(serde_json::from_str(message.to_text()?)?)
    }
}
