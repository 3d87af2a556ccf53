//! A server that answers everything alike and notes what it was asked: for what the program sends.

use std::sync::{Arc, Mutex};

use axum::extract::State;
use axum::http::{Request, StatusCode, header};
use axum::{Json, Router};
use serde_json::Value;

/// `POST /path?query`, the token that was shown, and the body.
pub(crate) type Asked = (String, Option<String>, Value);

type Heard = Arc<Mutex<Vec<Asked>>>;

pub(crate) struct Stub {
    pub(crate) url: String,
    heard: Heard,
}

#[derive(Clone)]
struct Answer {
    status: StatusCode,
    document: Value,
    heard: Heard,
}

impl Stub {
    pub(crate) async fn answering(status: u16, document: Value) -> Self {
        let heard = Heard::default();
        let answer =
            Answer { status: StatusCode::from_u16(status).unwrap(), document, heard: Arc::clone(&heard) };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(note).with_state(answer);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, heard }
    }

    pub(crate) fn heard(&self) -> Vec<Asked> {
        std::mem::take(&mut self.heard.lock().unwrap())
    }
}

async fn note(State(answer): State<Answer>, request: Request<axum::body::Body>) -> (StatusCode, Json<Value>) {
    let (head, body) = request.into_parts();
    let body = axum::body::to_bytes(body, 1 << 20).await.unwrap();
    let token = head.headers.get(header::AUTHORIZATION).map(|token| token.to_str().unwrap().to_owned());
    let asked =
        (format!("{} {}", head.method, head.uri), token, serde_json::from_slice(&body).unwrap_or_default());
    answer.heard.lock().unwrap().push(asked);
    (answer.status, Json(answer.document))
}
