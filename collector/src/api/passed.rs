//! Requests that a collector which stands by has passed on: it says for whom, and shows that it may.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::{self, Next};
use axum::response::Response;

/// What only collectors at one database know, and the address that they were asked from.
const FOR: HeaderName = HeaderName::from_static("orchestrator-passed-for");

/// With `pass`, whoever shows it is believed for whom it asks.
pub(super) fn known_by(pass: Option<Arc<str>>, routes: Router) -> Router {
    routes.layer(middleware::from_fn_with_state(pass, believe))
}

async fn believe(State(pass): State<Option<Arc<str>>>, mut request: Request, next: Next) -> Response {
    let shown = request.headers_mut().remove(FOR);
    if let Some(peer) = shown.zip(pass).and_then(|(shown, pass)| asker(&shown, &pass)) {
        request.extensions_mut().insert(ConnectInfo(peer));
    }
    next.run(request).await
}

/// Whatever the asker said there itself is gone.
pub(crate) fn say(headers: &mut HeaderMap, pass: &str, asker: SocketAddr) {
    headers.remove(FOR);
    if let Ok(value) = HeaderValue::try_from(format!("{pass} {asker}")) {
        headers.insert(FOR, value);
    }
}

fn asker(shown: &HeaderValue, pass: &str) -> Option<SocketAddr> {
    shown.to_str().ok()?.strip_prefix(pass)?.strip_prefix(' ')?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_does_not_know_the_pass_is_not_believed() {
        let mut headers = HeaderMap::new();
        headers.insert(FOR, HeaderValue::from_static("guessed 1.2.3.4:5"));
        assert_eq!(asker(&headers[FOR], "secret"), None);
        say(&mut headers, "secret", ([10, 0, 0, 1], 7).into());
        assert_eq!(asker(&headers[FOR], "secret"), Some(([10, 0, 0, 1], 7).into()));
        assert_eq!(asker(&headers[FOR], "other"), None);
    }
}
