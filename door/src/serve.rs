//! The listener: who gets a place, and how all connections end. Knows nothing of what is served.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::Limits;
use crate::converse::{Guest, Parts, converse};
use crate::files::Tls;
use crate::places::Places;
use crate::refuse::refuse;

/// Serves until `stop`, then lets answers under way finish, for a while. With `tls`, over its newest value only. Every
/// request carries `ConnectInfo<SocketAddr>`: who is at the other end, an IPv4 address always as such.
pub async fn serve(
    listener: TcpListener,
    tls: Option<watch::Receiver<Arc<Tls>>>,
    routes: Router,
    limits: Limits,
    stop: impl Future<Output = ()>,
) {
    let (stopping, stopped) = watch::channel(());
    let parts = Parts { routes, limits, stopped };
    let mut door = Door::new(tls, parts);
    let mut stop = pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => accepted,
            Some(_) = door.connections.join_next() => continue,
        };
        match accepted {
            Ok((stream, peer)) => door.admit(stream, peer),
            Err(error) => pause_after(&error).await,
        }
    }
    drop((listener, stopping));
    let finished = async { while door.connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.stop, finished).await.is_err() {
        tracing::warn!("some requests did not end in time and are cut off");
    }
}

struct Door {
    tls: Option<watch::Receiver<Arc<Tls>>>,
    parts: Parts,
    places: Places,
    refusals: Arc<Semaphore>,
    connections: JoinSet<()>,
}

impl Door {
    fn new(tls: Option<watch::Receiver<Arc<Tls>>>, parts: Parts) -> Self {
        let (places, refusals) = (Places::new(parts.limits), Arc::new(Semaphore::new(parts.limits.refusals)));
        Self { tls, parts, places, refusals, connections: JoinSet::new() }
    }

    /// Never waits.
    fn admit(&mut self, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let Some(place) = self.places.take(peer.ip()) else { return self.turn_away(stream, peer) };
        // What is small, as a WebSocket's frame, must not wait for the acknowledgement of what went before.
        let _ = stream.set_nodelay(true);
        let tls = self.tls.as_ref().map(|tls| TlsAcceptor::from(Arc::clone(&tls.borrow().server)));
        self.connections.spawn(converse(stream, Guest { peer, place }, tls, self.parts.clone()));
    }

    /// Who speaks TLS could not be told without a handshake.
    fn turn_away(&mut self, stream: TcpStream, peer: SocketAddr) {
        tracing::debug!(%peer, "a connection is refused: there are too many");
        if self.tls.is_some() {
            return;
        }
        if let Ok(turn) = Arc::clone(&self.refusals).try_acquire_owned() {
            let refusal = refuse(stream, self.parts.limits);
            self.connections.spawn(async move {
                refusal.await;
                drop(turn);
            });
        }
    }
}

/// A client that went away again is no reason to wait; a lack of file descriptors is, or this loop would spin.
async fn pause_after(error: &io::Error) {
    let gone = matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    );
    if !gone {
        tracing::warn!(%error, "cannot accept a connection; trying again");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

#[cfg(test)]
pub(crate) mod tests;
