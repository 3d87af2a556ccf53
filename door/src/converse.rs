//! One connection: its TLS handshake, its requests, and its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::StatusCode;
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

use crate::Limits;
use crate::places::Place;
use crate::punctual::{Arrival, Punctual};
use crate::shape::{self, Told};

/// What every connection gets.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) routes: Router,
    pub(crate) limits: Limits,
    /// Closed when the program stops.
    pub(crate) stopped: watch::Receiver<()>,
}

/// Who is at the other end, and the place that it takes.
pub(crate) struct Guest {
    pub(crate) peer: SocketAddr,
    pub(crate) place: Place,
}

/// Serves one client until it or the program has had enough.
pub(crate) async fn converse(stream: TcpStream, guest: Guest, tls: Option<TlsAcceptor>, parts: Parts) {
    // Below TLS, where every byte that the client takes can be seen.
    let mut stream = TimeoutWriter::new(stream);
    stream.set_timeout(Some(parts.limits.stall));
    let stream = Box::pin(stream);
    match tls {
        None => serve(stream, guest, parts).await,
        // Boxed: what TLS needs is not to be set aside for every plain connection.
        Some(tls) => Box::pin(encrypted(stream, guest, tls, parts)).await,
    }
}

async fn encrypted(
    stream: Pin<Box<TimeoutWriter<TcpStream>>>,
    guest: Guest,
    tls: TlsAcceptor,
    mut parts: Parts,
) {
    let peer = guest.peer;
    let handshake = tokio::time::timeout(parts.limits.handshake, tls.accept(stream));
    let shaken = tokio::select! {
        shaken = handshake => shaken,
        _ = parts.stopped.changed() => return,
    };
    match shaken {
        Ok(Ok(stream)) => serve(stream, guest, parts).await,
        Ok(Err(error)) => tracing::debug!(%error, %peer, "no TLS with a client"),
        Err(_) => tracing::debug!(%peer, "a client did not finish the TLS handshake in time"),
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static, guest: Guest, parts: Parts) {
    let (Parts { routes, limits, mut stopped }, Guest { peer, place }) = (parts, guest);
    let stream = Punctual::new(stream, limits, place);
    let arrival = stream.arrival();
    let mut protocol = http1::Builder::new();
    protocol.timer(TokioTimer::new()).header_read_timeout(limits.idle).max_buf_size(limits.head_bytes);
    let service = service_fn(move |request| answer(request, peer, routes.clone(), arrival.clone()));
    let connection = protocol.serve_connection(TokioIo::new(stream), service);
    let mut connection = pin!(connection.with_upgrades());
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
    peer: SocketAddr,
    routes: Router,
    arrival: Arrival,
) -> Result<Response, Infallible> {
    if let Some(refusal) = shape::ambiguous(request.headers()) {
        return Ok(refusal);
    }
    let is_last = shape::ends_connection(request.headers());
    let mut request: Request = request.map(|body| Told::body(body, arrival.clone()));
    request.extensions_mut().insert(ConnectInfo(peer));
    let mut response = TowerToHyperService::new(routes).call(request).await?;
    if is_last {
        shape::close(&mut response);
    }
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        arrival.upgraded();
    }
    Ok(response)
}
