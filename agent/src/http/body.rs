//! Requests' bodies: no route wants one, so a short one is read and forgotten, and a long one refused.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

/// The request without its body, once that has come; or the answer that refuses it.
pub(super) async fn taken(request: Request, limit_bytes: usize) -> Result<Request, Box<Response>> {
    let (head, body) = request.into_parts();
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(Box::new(too_long(limit_bytes)));
    }
    match Limited::new(body, limit_bytes).collect().await {
        Ok(_) => Ok(Request::from_parts(head, Body::empty())),
        Err(error) if error.is::<LengthLimitError>() => Err(Box::new(too_long(limit_bytes))),
        Err(error) => {
            Err(Box::new(refusal(StatusCode::BAD_REQUEST, format!("the body cannot be read: {error}\n"))))
        }
    }
}

fn too_long(limit_bytes: usize) -> Response {
    let told =
        format!("no route here takes a body, and none over {limit_bytes} bytes is read: leave it out\n");
    refusal(StatusCode::PAYLOAD_TOO_LARGE, told)
}

/// What is left of the body is not read, so the connection cannot go on.
fn refusal(status: StatusCode, told: String) -> Response {
    (status, [(CONNECTION, "close")], told).into_response()
}
