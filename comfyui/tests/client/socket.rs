//! The WebSocket against a server of the test's own.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use comfyui::client::Bounds;
use comfyui::{Cause, Client, Error, Frame, Socket};
use futures_util::{FutureExt, SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message as Wire;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_async};

use crate::scripted::{Scripted, Then, answer, refusing};

type Server = WebSocketStream<TcpStream>;

/// Both ends of a connection.
async fn pair(bounds: Bounds) -> (Socket, Server) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    let client = Client::new(&base).unwrap().bounded(bounds);
    let accepted = async { accept_async(listener.accept().await.unwrap().0).await.unwrap() };
    let (socket, server) = tokio::join!(Socket::connect(&client, "me", None), accepted);
    (socket.unwrap(), server)
}

fn status(count: u64) -> String {
    json!({"type": "status", "data": {"status": {"exec_info": {"queue_remaining": count}}}}).to_string()
}

fn text(frame: Option<Result<Frame, Error>>) -> String {
    match frame {
        Some(Ok(Frame::Message(message))) => message.to_text(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn frames_come_in_order_and_a_close_ends_them() {
    let (mut socket, mut server) = pair(Bounds::default()).await;
    server.send(Wire::text(status(1))).await.unwrap();
    server.send(Wire::Ping("are you there".into())).await.unwrap();
    server.send(Wire::binary(&b"\0\0\0\x01\0\0\0\x02png"[..])).await.unwrap();
    server.send(Wire::Close(None)).await.unwrap();
    assert_eq!(text(socket.next().await), status(1));
    assert!(matches!(socket.next().await, Some(Ok(Frame::Preview(preview))) if preview.image == "png"));
    assert!(socket.next().await.is_none());
    assert!(socket.next().await.is_none());
    assert_eq!(server.next().await.unwrap().unwrap(), Wire::Pong("are you there".into()));
    assert!(server.next().await.unwrap().unwrap().is_close());
}

#[tokio::test]
async fn a_connection_says_who_it_is_and_first_of_all_what_it_can() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let base = format!("http://u:p@{}/comfy", listener.local_addr().unwrap()).parse().unwrap();
    let client = Client::new(&base).unwrap();
    let features = json!({"supports_preview_metadata": true});
    let mut asked = None;
    let accepted = async {
        let (connection, _) = listener.accept().await.unwrap();
        let mut server = tokio_tungstenite::accept_hdr_async(connection, note(&mut asked)).await.unwrap();
        server.next().await.unwrap().unwrap()
    };
    let (socket, first) = tokio::join!(Socket::connect(&client, "me & you", Some(&features)), accepted);
    socket.unwrap();
    assert_eq!(asked.unwrap(), ("/comfy/ws?clientId=me+%26+you".to_owned(), "Basic dTpw".to_owned()));
    assert_eq!(first.to_text().unwrap(), json!({"type": "feature_flags", "data": features}).to_string());
}

/// Notes the path and the credentials of a handshake.
#[expect(clippy::result_large_err, reason = "the signature is tungstenite's")]
fn note(
    asked: &mut Option<(String, String)>,
) -> impl FnOnce(&Request, Response) -> Result<Response, ErrorResponse> {
    |request, response| {
        let credentials = request.headers()["authorization"].to_str().unwrap().to_owned();
        *asked = Some((request.uri().to_string(), credentials));
        Ok(response)
    }
}

#[tokio::test]
async fn a_frame_that_cannot_be_read_costs_no_other() {
    let (mut socket, mut server) = pair(Bounds::default()).await;
    server.send(Wire::text("nonsense")).await.unwrap();
    server.send(Wire::text(status(2))).await.unwrap();
    let error = socket.next().await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::Document(_)), "{error:?}");
    assert_eq!(text(socket.next().await), status(2));
}

#[tokio::test]
async fn a_connection_that_breaks_says_so_once() {
    let (mut socket, server) = pair(Bounds::default()).await;
    drop(server);
    let error = socket.next().await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::Broken(_)), "{error:?}");
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_message_over_its_bound_ends_the_connection() {
    let (mut socket, mut server) = pair(Bounds { socket_message_bytes: 100, ..Bounds::default() }).await;
    server.send(Wire::text("x".repeat(101))).await.unwrap();
    let error = socket.next().await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::TooLarge { limit_bytes: 100 }), "{error:?}");
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn a_call_that_is_dropped_within_a_frame_loses_nothing() {
    let (mut socket, mut server) = pair(Bounds::default()).await;
    let text_frame = [&[0x81, u8::try_from(status(3).len()).unwrap()][..], status(3).as_bytes()].concat();
    let (begin, end) = text_frame.split_at(20);
    for half in [begin, end] {
        assert!(socket.next().now_or_never().is_none());
        server.get_mut().write_all(half).await.unwrap();
        server.get_mut().flush().await.unwrap();
    }
    assert_eq!(text(socket.next().await), status(3));
}

fn nervous() -> Bounds {
    let short = Duration::from_millis(30);
    Bounds { socket_ping_after: short, socket_pong_within: short, ..Bounds::default() }
}

#[tokio::test]
async fn a_silent_server_that_answers_pings_is_kept() {
    let patient = Bounds { socket_pong_within: Duration::from_secs(60), ..nervous() };
    let (mut socket, mut server) = pair(patient).await;
    let pinged_thrice = async {
        for _ in 0..3 {
            assert!(server.next().await.unwrap().unwrap().is_ping());
        }
        server.send(Wire::text(status(4))).await.unwrap();
    };
    let (frame, ()) = tokio::join!(socket.next(), pinged_thrice);
    assert_eq!(text(frame), status(4));
}

#[tokio::test]
async fn a_server_that_answers_no_ping_is_given_up() {
    let (mut socket, _server_that_reads_nothing) = pair(nervous()).await;
    let error = socket.next().await.unwrap().unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
    assert!(socket.next().await.is_none());
}

#[tokio::test]
async fn connecting_fails_for_the_same_reasons_as_calls_do() {
    let (_port, client) = refusing();
    let error = Socket::connect(&client, "me", None).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Refused) && error.never_sent(), "{error:?}");

    let server = Scripted::says(&answer(403, "not you"), Then::Close).await;
    let error = Socket::connect(&server.client(), "me", None).await.unwrap_err();
    assert_eq!(error.status(), Some(403));

    let server = Scripted::says("", Then::Close).await;
    let error = Socket::connect(&server.client(), "me", None).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Broken(_)), "{error:?}");

    let server = Scripted::says("", Then::Hold).await;
    let hasty = Bounds { socket_connect: Duration::from_millis(50), ..Bounds::default() };
    let error = Socket::connect(&server.client().bounded(hasty), "me", None).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Timeout), "{error:?}");
}

#[tokio::test]
async fn a_handshake_without_an_end_is_given_up() {
    let hasty = Bounds { socket_connect: Duration::from_millis(250), ..Bounds::default() };
    let head = "HTTP/1.1 101 Switching Protocols\r\n";
    for then in [Then::Repeat("X-More: and more\r\n"), Then::Drip("X: y\r\n")] {
        let server = Scripted::says(head, then).await;
        let error = Socket::connect(&server.client().bounded(hasty), "me", None).await.unwrap_err();
        assert!(matches!(error.cause, Cause::Broken(_) | Cause::Timeout), "{error:?}");
    }
}

#[tokio::test]
async fn a_server_is_reached_by_its_ipv6_address() {
    // Some containers have no IPv6 at all: there is nothing to reach then.
    let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).await else { return };
    let base = format!("http://{}/comfy", listener.local_addr().unwrap()).parse().unwrap();
    let client = Client::new(&base).unwrap();
    let serves = async {
        let mut called = listener.accept().await.unwrap().0;
        assert!(called.read(&mut [0; 4096]).await.unwrap() > 0);
        called.write_all(answer(200, r#"{"exec_info": {"queue_remaining": 3}}"#).as_bytes()).await.unwrap();
        (called, accept_async(listener.accept().await.unwrap().0).await.unwrap())
    };
    let asks = async {
        let remaining = client.queue_remaining().await.unwrap().exec_info.queue_remaining;
        (remaining, Socket::connect(&client, "me", None).await.is_ok())
    };
    let (asked, _both_connections) = tokio::join!(asks, serves);
    assert_eq!(asked, (3, true));
    assert_eq!(client.backend(), format!("http://{}/comfy", listener.local_addr().unwrap()));
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_unreachable() {
    let server = Scripted::answers(400, "plain").await;
    let client = Client::new(&format!("https://{}", server.address).parse().unwrap()).unwrap();
    let error = Socket::connect(&client, "me", None).await.unwrap_err();
    assert!(matches!(error.cause, Cause::Unreachable(_)), "{error:?}");
}

#[tokio::test]
async fn closing_says_goodbye() {
    let (socket, mut server) = pair(Bounds::default()).await;
    let (_, heard) = tokio::join!(socket.close(), server.next());
    assert!(heard.unwrap().unwrap().is_close());
}
