//! Requests' bodies: no route wants one, so a short one is read and forgotten, and a long one refused.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONNECTION;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http_body_util::{BodyExt, LengthLimitError, Limited};

use crate::limits::BODY_BYTES;

/// Hands on requests without their bodies.
pub(super) async fn take(request: Request, next: Next) -> Response {
    match taken(request, BODY_BYTES).await {
        Ok(request) => next.run(request).await,
        Err(refusal) => *refusal,
    }
}

/// The request without its body, once that has come; or the answer that refuses it.
async fn taken(request: Request, limit_bytes: usize) -> Result<Request, Box<Response>> {
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

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::routing::post;
    use hyper::service::Service;
    use hyper_util::service::TowerToHyperService;

    use super::*;

    #[tokio::test]
    async fn a_long_body_is_refused_and_a_short_one_forgotten() {
        let routes = Router::new().route("/", post(|body: String| async move { body }));
        let routes = TowerToHyperService::new(routes.layer(axum::middleware::from_fn(take)));
        let unsized_body = |bytes| Body::new(Limited::new(Body::from("x".repeat(bytes)), usize::MAX));
        for (body, expected) in [
            (Body::empty(), StatusCode::OK),
            (Body::from("{}"), StatusCode::OK),
            (Body::from("x".repeat(BODY_BYTES)), StatusCode::OK),
            (Body::from("x".repeat(BODY_BYTES + 1)), StatusCode::PAYLOAD_TOO_LARGE),
            (unsized_body(BODY_BYTES), StatusCode::OK),
            (unsized_body(BODY_BYTES + 1), StatusCode::PAYLOAD_TOO_LARGE),
        ] {
            let answer = routes.call(Request::post("/").body(body).unwrap()).await.unwrap();
            assert_eq!(answer.status(), expected);
            let told = axum::body::to_bytes(answer.into_body(), 4096).await.unwrap();
            assert_eq!(told.is_empty(), expected == StatusCode::OK, "{told:?}");
        }
    }
}
