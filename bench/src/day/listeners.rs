//! Clients that listen for a while: each opens a WebSocket, hears what comes, and is gone.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use futures_util::StreamExt;
use tokio::runtime::Builder;
use tokio::time::timeout;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;

use super::tenants::Tenants;
use crate::stage::Collector;

/// How many listen at a time, and for how long.
const LISTENERS: usize = 20;
const LISTENS: Duration = Duration::from_millis(500);

pub(super) fn come_and_go(
    collector: &Collector,
    tenants: &Tenants,
    over: &AtomicBool,
    sockets: &AtomicU64,
) -> Result<()> {
    let runtime = Builder::new_current_thread().enable_all().build().context("start an async runtime")?;
    let all = (0..LISTENERS).map(|listener| async move {
        let mut client = listener;
        while !over.load(Ordering::Relaxed) {
            let url = format!("ws://{}/ws?clientId=client-{client}", collector.address());
            listen(&url, tenants.token_of(client)).await?;
            sockets.fetch_add(1, Ordering::Relaxed);
            client += LISTENERS;
        }
        anyhow::Ok(())
    });
    runtime.block_on(futures_util::future::try_join_all(all)).map(drop)
}

async fn listen(url: &str, token: Option<&str>) -> Result<()> {
    let mut request = url.into_client_request().context("ask for a socket")?;
    if let Some(token) = token {
        request.headers_mut().insert("authorization", format!("Bearer {token}").parse()?);
    }
    let (mut socket, _) = connect_async(request).await.context("open a socket")?;
    let hear = async { while socket.next().await.is_some_and(|frame| frame.is_ok()) {} };
    // Those that the collector ends itself are counted like those that leave.
    let _ = timeout(LISTENS, hear).await;
    Ok(())
}
