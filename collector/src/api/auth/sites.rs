//! Other sites whose pages may use this collector from a browser (CORS): none, unless they are configured. Each is named
//! exactly, and a cookie that comes with what their pages send counts for nothing: with tokens they show one themselves.

use std::time::Duration;

use axum::http::{HeaderValue, Method, header};
use tower_http::cors::{AllowHeaders, CorsLayer};
use url::Url;

/// How long a browser need not ask again what it may send.
const MAX_AGE: Duration = Duration::from_secs(600);

/// Their origins as browsers write them.
#[derive(Clone, Default)]
pub(super) struct Sites(Vec<HeaderValue>);

impl Sites {
    pub(super) fn of(origins: &[Url]) -> Self {
        let written = origins.iter().map(|origin| origin.origin().ascii_serialization());
        // An origin is ASCII, which makes a header.
        Self(written.filter_map(|origin| origin.parse().ok()).collect())
    }

    pub(super) fn have(&self, origin: Option<&HeaderValue>) -> bool {
        origin.is_some_and(|origin| self.0.contains(origin))
    }

    /// Tells their browsers so; `None` where there are none.
    pub(super) fn layer(&self) -> Option<CorsLayer> {
        let layer = CorsLayer::new()
            .allow_origin(self.0.clone())
            .allow_methods([Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
            .allow_headers(AllowHeaders::mirror_request())
            .expose_headers([header::CONTENT_DISPOSITION, header::ETAG, header::RETRY_AFTER])
            .max_age(MAX_AGE);
        (!self.0.is_empty()).then_some(layer)
    }
}
