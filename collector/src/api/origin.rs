//! Another site's page must not act here through its visitor's browser: a request that changes something, or opens a
//! WebSocket, is refused when its `Origin` is another than the `Host` it was sent to. ComfyUI does the same on loopback.

use axum::extract::Request;
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Refusal;

pub(super) async fn refuse_foreign(request: Request, next: Next) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let upgrades = request.headers().contains_key(header::UPGRADE);
    if (reads && !upgrades) || is_own(request.headers()) {
        return next.run(request).await;
    }
    let message = "this request comes from another site's page, which may not act here";
    Refusal::new(StatusCode::FORBIDDEN, "foreign_origin", message).into_response()
}

/// No `Origin`: no browser page sent it.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|value: &axum::http::HeaderValue| value.to_str().ok());
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let host_of_origin =
        origin.to_str().ok().and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    host_of_origin.is_some() && host_of_origin == text(header::HOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_of_our_own_may_act() {
        for (origin, host, own) in [
            (None, "127.0.0.1:8288", true),
            (Some("http://127.0.0.1:8288"), "127.0.0.1:8288", true),
            (Some("http://localhost:8288"), "127.0.0.1:8288", false),
            (Some("https://evil.example"), "127.0.0.1:8288", false),
            (Some("null"), "127.0.0.1:8288", false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            assert_eq!(is_own(&headers), own, "{origin:?}");
        }
    }
}
