//! 0.8 refuses a browser's request from a page of another origin, on loopback, and what a browser asks before such a request
//! it answers with nothing.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::answer;
use crate::comfy::process::Process;

pub(super) async fn check(State(process): State<Arc<Process>>, request: Request, next: Next) -> Response {
    if process.generation().is_current() && is_foreign(request.headers()) {
        return answer::empty(StatusCode::FORBIDDEN);
    }
    if process.generation().is_current() && request.method() == Method::OPTIONS {
        return answer::empty(StatusCode::OK);
    }
    next.run(request).await
}

fn is_foreign(headers: &HeaderMap) -> bool {
    let value = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(host), Some(origin)) = (value(header::HOST), value(header::ORIGIN)) else { return false };
    let origin = origin.split_once("://").map_or(origin, |(_, rest)| rest);
    is_loopback(host) && host.to_lowercase() != origin.to_lowercase()
}

fn is_loopback(host: &str) -> bool {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    name == "localhost" || name == "[::1]" || name.starts_with("127.")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn foreign(host: &'static str, origin: &'static str) -> bool {
        let pairs = [(header::HOST, host.parse().unwrap()), (header::ORIGIN, origin.parse().unwrap())];
        is_foreign(&HeaderMap::from_iter(pairs))
    }

    #[test]
    fn a_page_of_another_origin_is_refused_on_loopback_only() {
        assert!(foreign("127.0.0.1:8188", "http://evil.example"));
        assert!(foreign("127.0.0.1:8188", "http://localhost:8188"));
        assert!(!foreign("127.0.0.1:8188", "http://127.0.0.1:8188"));
        assert!(!foreign("192.168.0.9:8188", "http://evil.example"));
    }
}
