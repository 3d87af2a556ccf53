//! A server that says what a test tells it to, whatever it is asked, and shows what it was asked.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use comfyui::Client;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc;

/// What becomes of a connection after the answer.
#[derive(Clone, Copy)]
pub(crate) enum Then {
    Close,
    Hold,
    /// Say this again and again, as fast as it is taken.
    Repeat(&'static str),
    /// Say this again and again, a while apart.
    Drip(&'static str),
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    requests: mpsc::UnboundedReceiver<String>,
}

impl Scripted {
    /// Gives every request the same answer.
    pub(crate) async fn says(answer: &str, then: Then) -> Self {
        Self::says_bytes(answer.into(), then).await
    }

    pub(crate) async fn says_bytes(answer: Vec<u8>, then: Then) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let (seen, requests) = mpsc::unbounded_channel();
        tokio::spawn(serve(listener, answer, then, seen));
        Self { address, requests }
    }

    /// Gives every request this status and body.
    pub(crate) async fn answers(status: u16, body: &str) -> Self {
        Self::says(&answer(status, body), Then::Close).await
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}", self.address).parse().unwrap()).unwrap()
    }

    /// The next request, head and body.
    pub(crate) async fn request(&mut self) -> String {
        self.requests.recv().await.unwrap()
    }

    /// How many requests came that no test has looked at.
    pub(crate) fn unseen(&mut self) -> usize {
        std::iter::from_fn(|| self.requests.try_recv().ok()).count()
    }
}

pub(crate) fn answer(status: u16, body: &str) -> String {
    format!("HTTP/1.1 {status} So\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// An address that refuses connections as long as the socket lives: bound, and nothing listens.
pub(crate) fn refusing() -> (TcpSocket, Client) {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let client = Client::new(&format!("http://{}", socket.local_addr().unwrap()).parse().unwrap()).unwrap();
    (socket, client)
}

async fn serve(listener: TcpListener, answer: Vec<u8>, then: Then, seen: mpsc::UnboundedSender<String>) {
    let mut held = Vec::new();
    while let Ok((mut connection, _)) = listener.accept().await {
        let _ = seen.send(read_request(&mut connection).await);
        let _ = connection.write_all(&answer).await;
        match then {
            Then::Close => drop(connection),
            Then::Hold => held.push(connection),
            Then::Repeat(piece) => repeat(connection, &piece.repeat(1000)).await,
            Then::Drip(piece) => drip(connection, piece).await,
        }
    }
}

/// Until the other side has had enough.
async fn repeat(mut connection: TcpStream, piece: &str) {
    while connection.write_all(piece.as_bytes()).await.is_ok() {}
}

async fn drip(mut connection: TcpStream, piece: &str) {
    while connection.write_all(piece.as_bytes()).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Reads until the body is as long as the head says, or a chunked one ends.
async fn read_request(connection: &mut TcpStream) -> String {
    let mut request = Vec::new();
    while !is_whole(&String::from_utf8_lossy(&request)) {
        if connection.read_buf(&mut request).await.unwrap_or(0) == 0 {
            break;
        }
    }
    joined(&String::from_utf8_lossy(&request))
}

/// The request with the chunks of its body, if it has any, put together.
fn joined(request: &str) -> String {
    let Some((head, mut rest)) = request.split_once("\r\n\r\n") else { return request.to_owned() };
    if !is_chunked(head) {
        return request.to_owned();
    }
    let mut joined = format!("{head}\r\n\r\n");
    while let Some((length, more)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        joined.push_str(&more[..length]);
        rest = &more[length + 2..];
    }
    joined
}

fn is_chunked(head: &str) -> bool {
    head.to_ascii_lowercase().contains("transfer-encoding: chunked")
}

/// The first byte of a TLS handshake: who begins so waits for an answer in kind.
const TLS: char = '\u{16}';

fn is_whole(request: &str) -> bool {
    if request.starts_with(TLS) {
        return true;
    }
    let Some((head, body)) = request.split_once("\r\n\r\n") else { return false };
    let head = head.to_ascii_lowercase();
    if is_chunked(&head) {
        return body.ends_with("\r\n0\r\n\r\n");
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.map_or(0, |length| length.parse().unwrap())
}
