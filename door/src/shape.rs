//! Requests whose end another reader, such as a proxy in front, may see elsewhere: what one takes for the body of the
//! first the other could take for a second request. And the body that tells when it has come.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::header::{CONNECTION, HOST, HeaderMap, TRANSFER_ENCODING};
use axum::http::{HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use hyper::body::{Frame, Incoming, SizeHint};

use crate::punctual::Arrival;

/// The answer to a head that can be understood in two ways. Two lengths that differ are refused by hyper.
pub(crate) fn ambiguous(headers: &HeaderMap) -> Option<Response> {
    let told = "a request has one Host\n";
    let is_ambiguous = headers.get_all(HOST).iter().count() > 1;
    is_ambiguous.then(|| (StatusCode::BAD_REQUEST, [(CONNECTION, "close")], told).into_response())
}

/// hyper drops a Content-Length beside a Transfer-Encoding, unseen from here, and goes by the latter alone. That is
/// allowed if nothing may follow on the connection (RFC 9112, 6.1).
pub(crate) fn ends_connection(headers: &HeaderMap) -> bool {
    headers.contains_key(TRANSFER_ENCODING)
}

pub(crate) fn close(response: &mut Response) {
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
}

/// A body that says when it is over, or when nobody wants the rest.
pub(crate) struct Told {
    body: Incoming,
    arrival: Arrival,
}

impl Told {
    pub(crate) fn body(body: Incoming, arrival: Arrival) -> Body {
        if body.is_end_stream() {
            arrival.complete();
            return Body::empty();
        }
        Body::new(Self { body, arrival })
    }
}

impl Drop for Told {
    fn drop(&mut self) {
        self.arrival.complete();
    }
}

impl HttpBody for Told {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if matches!(polled, Poll::Ready(None)) || self.body.is_end_stream() {
            self.arrival.complete();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
