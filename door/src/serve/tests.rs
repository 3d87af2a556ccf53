use axum::body::Bytes;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::routing::{get, post};
use futures_util::{SinkExt, StreamExt};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

/// A bound that a test waits for, and that a busy machine does not reach in between.
const SHORT: Duration = Duration::from_millis(200);

pub(crate) fn limits() -> Limits {
    Limits {
        total: 2,
        per_address: 64,
        refusals: 16,
        refusal: Duration::from_secs(1),
        handshake: PATIENCE,
        request: PATIENCE,
        bytes_a_second: 16 * 1024,
        idle: Duration::from_secs(75),
        stall: PATIENCE,
        head_bytes: 16 * 1024,
        stop: Duration::from_secs(1),
    }
}

struct Server {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        Self::speaking(None, limits).await
    }

    async fn start_tls(limits: Limits) -> Self {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let key = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let builder = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()));
        let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
        let config = builder.with_single_cert(vec![made.cert.der().clone()], key).unwrap();
        let tls = Tls { server: Arc::new(config), expires: None };
        Self::speaking(Some(watch::channel(Arc::new(tls)).1), limits).await
    }

    async fn speaking(tls: Option<watch::Receiver<Arc<Tls>>>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let routes = Router::new()
            .route("/", get(|| async { "here\n" }))
            .route("/", post(|| async { "taken\n" }))
            .route("/long", get(|| async { "x".repeat(64 << 20) }))
            .route("/body", post(|body: Bytes| async move { format!("{} bytes\n", body.len()) }))
            .route("/ws", get(|upgrade: WebSocketUpgrade| async { upgrade.on_upgrade(echo) }));
        let task = tokio::spawn(serve(listener, tls, routes, limits, std::future::pending()));
        Self { address, task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A connection over which this was sent.
    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }

    /// Waits until there is a place.
    async fn serves_again(&self) {
        let begin = tokio::time::Instant::now();
        let asked = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        while !rest(self.send(asked).await).await.contains("here") {
            assert!(begin.elapsed() < PATIENCE, "the place stays taken");
        }
    }
}

/// Says what it hears.
async fn echo(mut socket: WebSocket) {
    while let Some(Ok(message)) = socket.recv().await {
        if socket.send(message).await.is_err() {
            return;
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// What comes until the server closes the connection.
async fn rest(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    let read = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut text)).await;
    // A reset is an end as well.
    let _ = read.expect("the connection is closed in time");
    String::from_utf8(text).unwrap()
}

/// One answer of a connection that stays open.
async fn answer(stream: &mut TcpStream, end: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(end) {
        let mut bytes = [0; 1024];
        let read = tokio::time::timeout(PATIENCE, stream.read(&mut bytes)).await;
        let count = read.expect("it answers in time").unwrap();
        assert!(count > 0, "closed after {text:?}");
        text.push_str(std::str::from_utf8(&bytes[..count]).unwrap());
    }
    text
}

#[tokio::test]
async fn a_request_that_does_not_come_to_its_end_is_cut_off() {
    let server = Server::start(Limits { request: SHORT, ..limits() }).await;
    for begun in [
        "",
        "GET / HT",
        "GET / HTTP/1.1\r\nHost: a\r\n",
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx",
    ] {
        let told = rest(server.send(begun).await).await;
        assert!(!told.contains("200"), "{begun:?}: {told}");
    }
}

#[tokio::test]
async fn a_second_request_has_a_deadline_too() {
    let server = Server::start(Limits { request: SHORT, ..limits() }).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    answer(&mut stream, "here\n").await;
    stream.write_all(b"GET / HT").await.unwrap();
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn between_requests_a_connection_is_kept_longer_than_a_request_may_take() {
    let server = Server::start(Limits { request: SHORT, ..limits() }).await;
    for request in
        ["GET / HTTP/1.1\r\nHost: a\r\n\r\n", "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}"]
    {
        let mut stream = server.send(request).await;
        answer(&mut stream, "\n").await;
        // Time that passes is what this is about.
        tokio::time::sleep(SHORT * 2).await;
        stream.write_all(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(answer(&mut stream, "here\n").await.starts_with("HTTP/1.1 200"));
    }
}

#[tokio::test]
async fn a_connection_that_stays_idle_is_closed() {
    let server = Server::start(Limits { idle: SHORT, ..limits() }).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    answer(&mut stream, "here\n").await;
    assert_eq!(rest(stream).await, "");
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_cut_off() {
    let server = Server::start(Limits { total: 1, stall: SHORT, ..limits() }).await;
    let stalled = server.send("GET /long HTTP/1.1\r\nHost: a\r\n\r\n").await;
    // Its place is free once it was cut off, and not before.
    server.serves_again().await;
    assert!(rest(stalled).await.len() < 64 << 20);
}

#[tokio::test]
async fn whoever_finds_no_place_is_told_so_and_gets_one_when_it_is_free() {
    let server = Server::start(limits()).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
        answer(&mut stream, "here\n").await;
        held.push(stream);
    }
    for sent in ["", "GET / HTTP/1.1\r\nHost: a\r\n\r\n"] {
        let told = rest(server.send(sent).await).await;
        assert!(told.starts_with("HTTP/1.1 503") && told.contains("Retry-After: 1"), "{told}");
    }
    let mut freed = held.pop().unwrap();
    freed.shutdown().await.unwrap();
    assert_eq!(rest(freed).await, "");
    server.serves_again().await;
}

#[tokio::test]
async fn of_a_thousand_idle_connections_those_beyond_the_bound_are_told_so_and_the_others_keep_nobody_waiting()
 {
    let server = Server::start(Limits { total: 600, request: 6 * PATIENCE, ..limits() }).await;
    let served = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut kept = server.send(served).await;
    answer(&mut kept, "here\n").await;
    let mut idle = Vec::new();
    for number in 1..1000 {
        let begun = server.send(["", "GET / HTTP/1.1\r\nHo"][number % 2]).await;
        if number < 600 {
            idle.push(begun);
        } else {
            let told = rest(begun).await;
            assert!(told.starts_with("HTTP/1.1 503"), "{number}: {told}");
        }
    }
    kept.write_all(served.as_bytes()).await.unwrap();
    answer(&mut kept, "here\n").await;
    drop(idle);
    server.serves_again().await;
}

#[tokio::test]
async fn those_who_do_not_read_their_refusal_hold_nobody_up() {
    let limits = Limits { total: 0, refusals: 1, refusal: Duration::from_secs(60), ..limits() };
    let server = Server::start(limits).await;
    let mut silent = server.connect().await;
    answer(&mut silent, "seconds\n").await;
    assert_eq!(rest(server.connect().await).await, "", "no second one is told");
}

#[tokio::test]
async fn a_long_head_is_refused() {
    let server = Server::start(limits()).await;
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\nX: {}", "x".repeat(17 * 1024));
    let told = rest(server.send(&head).await).await;
    assert!(told.contains("431 Request Header Fields Too Large"), "{told}");
}

#[tokio::test]
async fn over_tls_a_client_that_does_not_shake_hands_is_cut_off() {
    let server = Server::start_tls(Limits { handshake: SHORT, ..limits() }).await;
    for begun in ["", "\u{16}\u{3}\u{1}"] {
        assert_eq!(rest(server.send(begun).await).await, "", "{begun:?}");
    }
}

#[tokio::test]
async fn over_tls_a_plain_request_gets_no_answer() {
    let server = Server::start_tls(limits()).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n").await;
    let mut told = Vec::new();
    // An alert of TLS, or a reset.
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut told)).await.expect("it is closed");
    assert!(!told.starts_with(b"HTTP"), "{told:?}");
}

#[tokio::test]
async fn over_tls_whoever_finds_no_place_is_turned_away_without_a_word() {
    let server = Server::start_tls(Limits { total: 0, ..limits() }).await;
    assert_eq!(rest(server.connect().await).await, "");
}

#[tokio::test]
async fn a_body_that_keeps_coming_may_take_longer_than_a_short_request() {
    let server = Server::start(Limits { request: SHORT, bytes_a_second: 1, ..limits() }).await;
    let mut stream = server.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n").await;
    for byte in b"abcd" {
        // Time that passes is what this is about.
        tokio::time::sleep(SHORT / 2).await;
        stream.write_all(&[*byte]).await.unwrap();
    }
    assert!(answer(&mut stream, "bytes\n").await.ends_with("4 bytes\n"));
}

#[tokio::test]
async fn a_body_that_comes_too_slowly_or_stops_coming_is_cut_off() {
    let slowly = Limits { request: SHORT, bytes_a_second: u32::MAX, ..limits() };
    let stops = Limits { bytes_a_second: 1, stall: SHORT, ..limits() };
    for limits in [slowly, stops] {
        let server = Server::start(limits).await;
        let told =
            rest(server.send("POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nabc").await).await;
        assert!(!told.contains("200"), "{told}");
    }
}

#[tokio::test]
async fn a_websocket_is_kept_whatever_requests_may_take_and_holds_its_place() {
    let server = Server::start(Limits { total: 1, request: SHORT, idle: SHORT, ..limits() }).await;
    let stream = server.connect().await;
    let url = format!("ws://{}/ws", server.address);
    let (mut socket, _) = tokio_tungstenite::client_async(url, stream).await.unwrap();
    for _ in 0..2 {
        socket.send("hello".into()).await.unwrap();
        assert_eq!(socket.next().await.unwrap().unwrap().into_text().unwrap(), "hello");
        // Time that passes is what this is about.
        tokio::time::sleep(SHORT * 2).await;
    }
    assert!(rest(server.connect().await).await.starts_with("HTTP/1.1 503"));
    drop(socket);
    server.serves_again().await;
}

#[tokio::test]
async fn nothing_is_smuggled_behind_a_request_whose_end_is_in_doubt() {
    let server = Server::start(limits()).await;
    let hidden = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    for (head, expected) in [
        ("Content-Length: 2\r\nContent-Length: 0\r\n", "400"),
        ("Content-Length: 0, 2\r\n", "400"),
        ("Content-Length: +2\r\n", "400"),
        ("Content-Length: 0\r\nTransfer-Encoding: chunked\r\n", "200"),
        ("Transfer-Encoding: chunked, identity\r\n", "400"),
        ("Transfer-Encoding: chunked\r\nContent-Length: 0\r\n", "200"),
        ("Host: b\r\n", "400"),
        ("X: a\r\n b\r\n", "400"),
        ("X : a\r\n", "400"),
    ] {
        let sent = format!("POST /body HTTP/1.1\r\nHost: a\r\n{head}\r\n0\r\n\r\n{hidden}");
        let told = rest(server.send(&sent).await).await;
        assert!(told.starts_with(&format!("HTTP/1.1 {expected}")), "{head:?}: {told}");
        assert!(!told.contains("here"), "{head:?}: {told}");
    }
}
