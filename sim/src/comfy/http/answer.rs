//! Answers as the original's HTTP library gives them, down to the content types.

use axum::body::Body;
use axum::http::{Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;

/// A JSON document.
pub(super) fn document(status: StatusCode, document: &Value) -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (status, kind, document.to_string()).into_response()
}

/// A JSON document with 200.
pub(super) fn json(value: &Value) -> Response {
    document(StatusCode::OK, value)
}

/// A status without body and without content type.
pub(super) fn empty(status: StatusCode) -> Response {
    (status, Body::empty()).into_response()
}

/// What nobody serves.
pub(super) async fn unknown() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/octet-stream")];
    (StatusCode::NOT_FOUND, kind, Body::empty()).into_response()
}

/// A route that takes other methods. What is read and no route is looked for among the files.
pub(super) async fn wrong_method(method: Method) -> Response {
    match method {
        Method::GET | Method::HEAD => unknown().await,
        _ => empty(StatusCode::METHOD_NOT_ALLOWED),
    }
}

/// What a request gets whose handler raised.
pub(super) fn trouble() -> Response {
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8")];
    let text = "500 Internal Server Error\n\nServer got itself in trouble";
    (StatusCode::INTERNAL_SERVER_ERROR, kind, text).into_response()
}

/// The body of a request as JSON, or the 500 that the original gives.
pub(super) fn parsed(body: &[u8]) -> Result<Value, Box<Response>> {
    serde_json::from_slice(body).map_err(|_| Box::new(trouble()))
}
