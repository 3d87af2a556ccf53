//! A receiver of webhooks and traces: it keeps what it is sent, answers as it is told, and checks signatures with code of its own.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::net::TcpListener;

use super::wait::until;

const SECRET: [u8; 32] = [7; 32];

/// What the file of the collector's secret holds.
pub(crate) fn secret() -> String {
    format!("whsec_{}\n", BASE64.encode(&SECRET))
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Reply {
    Status(u16),
    /// To another path of the same receiver.
    Redirect,
    Never,
    /// 200, and a body without end.
    Endless,
}

#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

#[derive(Default)]
struct Kept {
    replies: VecDeque<Reply>,
    taken: Vec<Taken>,
}

type Shared = Arc<Mutex<Kept>>;

pub(crate) struct Receiver {
    pub(crate) url: String,
    kept: Shared,
}

impl Receiver {
    /// Gives these replies in their order, and 204 afterwards.
    pub(crate) async fn start(replies: &[Reply]) -> Self {
        let kept = Shared::default();
        kept.lock().unwrap().replies.extend(replies);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook/secret", listener.local_addr().unwrap());
        let router = Router::new().fallback(take).with_state(Arc::clone(&kept));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, kept }
    }

    pub(crate) fn taken(&self) -> Vec<Taken> {
        self.kept.lock().unwrap().taken.clone()
    }

    /// Those that came once there are so many.
    pub(crate) async fn takes(&self, count: usize) -> Vec<Taken> {
        let taken = async || Some(self.taken()).filter(|taken| taken.len() >= count);
        until(&format!("{count} webhooks are sent"), taken).await
    }
}

async fn take(State(kept): State<Shared>, uri: Uri, headers: HeaderMap, body: Bytes) -> Response {
    let reply = {
        let mut kept = kept.lock().unwrap();
        kept.taken.push(Taken { path: uri.path().to_owned(), headers, body });
        kept.replies.pop_front().unwrap_or(Reply::Status(204))
    };
    match reply {
        Reply::Status(status) => StatusCode::from_u16(status).unwrap().into_response(),
        Reply::Redirect => (StatusCode::TEMPORARY_REDIRECT, [("location", "/elsewhere")]).into_response(),
        Reply::Never => std::future::pending().await,
        Reply::Endless => {
            let chunks =
                futures_util::stream::repeat(Ok::<_, std::convert::Infallible>(Bytes::from_static(b"more")));
            Body::from_stream(chunks).into_response()
        }
    }
}

impl Taken {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().unwrap()
    }

    /// The document, if it was signed with the secret.
    pub(crate) fn verified(&self) -> Value {
        let body = std::str::from_utf8(&self.body).unwrap();
        let signed = format!("{}.{}.{body}", self.header("webhook-id"), self.header("webhook-timestamp"));
        let signature = format!("v1,{}", BASE64.encode(&hmac_sha256(&SECRET, signed.as_bytes())));
        assert_eq!(self.header("webhook-signature"), signature);
        assert_eq!(self.header("content-type"), "application/json");
        serde_json::from_str(body).unwrap()
    }
}

/// RFC 2104, for a key no longer than a block.
fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let padded = |with: u8| {
        let mut block = [with; 64];
        block.iter_mut().zip(key).for_each(|(byte, key)| *byte ^= key);
        block
    };
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(message).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}
