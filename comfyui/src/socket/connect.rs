//! The way to an open WebSocket, and what can go wrong on it.

use std::io;

use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::client::Request;
use tokio_tungstenite::tungstenite::http::header::AUTHORIZATION;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config};
use url::{Host, Url};

use crate::client::CONNECT_TIMEOUT;
use crate::{Cause, Client, Error};

pub(super) use tokio_tungstenite::tungstenite::Error as WireError;

type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

pub(super) async fn connect(client: &Client, client_id: &str) -> Result<Stream, Error> {
    let url = client.address().socket(client_id)?;
    let opened = timeout(client.bounds().socket_connect, open(client, &url)).await;
    opened.unwrap_or(Err(Cause::Timeout)).map_err(|cause| failed(client, cause))
}

pub(super) fn failed(client: &Client, cause: Cause) -> Error {
    Error { operation: "open a WebSocket", backend: client.backend().to_owned(), cause }
}

async fn open(client: &Client, url: &Url) -> Result<Stream, Cause> {
    let request = request(client, url)?;
    let tcp = reach(url).await?;
    let limit_bytes = Some(client.bounds().socket_message_bytes);
    let config = WebSocketConfig::default().max_message_size(limit_bytes).max_frame_size(limit_bytes);
    let connected =
        client_async_tls_with_config(request, tcp, Some(config), Some(Connector::Rustls(client.tls()))).await;
    connected.map(|(stream, _)| stream).map_err(cause)
}

fn request(client: &Client, url: &Url) -> Result<Request, Cause> {
    let mut request =
        url.as_str().into_client_request().map_err(|error| Cause::Unsendable(error.to_string()))?;
    if let Some(authorization) = client.address().authorization() {
        request.headers_mut().insert(AUTHORIZATION, authorization.clone());
    }
    Ok(request)
}

async fn reach(url: &Url) -> Result<TcpStream, Cause> {
    let port = url.port_or_known_default().unwrap_or(80);
    let connected = timeout(CONNECT_TIMEOUT, async {
        match url.host() {
            Some(Host::Ipv4(address)) => TcpStream::connect((address, port)).await,
            Some(Host::Ipv6(address)) => TcpStream::connect((address, port)).await,
            Some(Host::Domain(name)) => TcpStream::connect((name, port)).await,
            None => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    });
    let unreached = |why: &str| Cause::Unreachable(why.to_owned());
    let tcp =
        connected.await.map_err(|_| unreached("no connection in time"))?.map_err(|error| {
            match error.kind() {
                io::ErrorKind::ConnectionRefused => Cause::Refused,
                _ => unreached(&error.to_string()),
            }
        })?;
    tcp.set_nodelay(true).map_err(|error| unreached(&error.to_string()))?;
    Ok(tcp)
}

/// What a failure of the connection means.
pub(super) fn cause(error: WireError) -> Cause {
    match error {
        WireError::Http(answer) => {
            let text = String::from_utf8_lossy(answer.body().as_deref().unwrap_or_default()).into_owned();
            Cause::Status { status: answer.status().as_u16(), body: text.chars().take(500).collect() }
        }
        WireError::Tls(error) => Cause::Unreachable(error.to_string()),
        WireError::Io(error) => match crate::tls::fault(&error) {
            Some(why) => Cause::Unreachable(why),
            None => Cause::Broken(error.to_string()),
        },
        WireError::Capacity(error) => capacity(&error),
        error => Cause::Broken(error.to_string()),
    }
}

fn capacity(error: &tokio_tungstenite::tungstenite::error::CapacityError) -> Cause {
    use tokio_tungstenite::tungstenite::error::CapacityError;
    match error {
        CapacityError::MessageTooLong { max_size, .. } => Cause::TooLarge { limit_bytes: *max_size as u64 },
        error => Cause::Broken(error.to_string()),
    }
}
