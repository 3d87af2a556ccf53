//! One connection: its TLS handshake, its requests, and its end.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::{Pin, pin};

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_io_timeout::TimeoutWriter;
use tokio_rustls::TlsAcceptor;

use super::body;
use super::guard::Peer;
use super::punctual::{Arrival, Punctual};
use crate::limits::Connections;

/// What every connection gets.
#[derive(Clone)]
pub(super) struct Parts {
    pub(super) routes: Router,
    pub(super) limits: Connections,
    /// Closed when the agent stops.
    pub(super) stopped: watch::Receiver<()>,
}

/// Serves one client until it or the agent has had enough.
pub(super) async fn converse(stream: TcpStream, peer: IpAddr, tls: Option<TlsAcceptor>, parts: Parts) {
    // Below TLS, where every byte that the client takes can be seen.
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(parts.limits.stall));
    let stream = Box::pin(stream);
    match tls {
        None => serve(stream, peer, parts).await,
        // Boxed: what TLS needs is not to be set aside for every plain connection.
        Some(tls) => Box::pin(encrypted(stream, peer, tls, parts)).await,
    }
}

async fn encrypted(
    stream: Pin<Box<TimeoutWriter<TcpStream>>>,
    peer: IpAddr,
    tls: TlsAcceptor,
    mut parts: Parts,
) {
    let handshake = tokio::time::timeout(parts.limits.handshake, tls.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        _ = parts.stopped.changed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(stream, peer, parts).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS with a client"),
        Err(_) => tracing::debug!(%peer, "a client did not finish the TLS handshake in time"),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin, peer: IpAddr, parts: Parts) {
    let Parts { routes, limits, mut stopped } = parts;
    let stream = Punctual::new(stream, limits.request);
    let arrival = stream.arrival();
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(limits.head_bytes);
    let service =
        service_fn(move |request| answer(request, peer, routes.clone(), arrival.clone(), limits.body_bytes));
    let mut connection = pin!(protocol.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        // The sender is dropped, nothing is ever sent.
        _ = stopped.changed() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended badly");
    }
}

async fn answer(
    request: hyper::Request<Incoming>,
    peer: IpAddr,
    routes: Router,
    arrival: Arrival,
    body_bytes: usize,
) -> Result<Response, Infallible> {
    let request: Request = request.map(Body::new);
    let mut request = match body::taken(request, body_bytes).await {
        Ok(request) => request,
        Err(refusal) => return Ok(*refusal),
    };
    arrival.complete();
    request.extensions_mut().insert(Peer(peer));
    TowerToHyperService::new(routes).call(request).await
}
