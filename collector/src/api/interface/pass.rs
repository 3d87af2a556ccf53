//! One request passed on to a backend and its answer back, neither held in memory. Only the headers that are listed here
//! travel: no credential of our clients reaches a backend, no foreign `Origin`, and no cookie of a backend a client.

use axum::body::{Body, HttpBody};
use axum::extract::{Query, Request};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use comfyui::{Cause, Client};
use percent_encoding::percent_decode_str;

use super::Refusal;

/// Who of several users of a server asks.
const COMFY_USER: HeaderName = HeaderName::from_static("comfy-user");

const TO_BACKENDS: [HeaderName; 12] = [
    header::ACCEPT,
    header::ACCEPT_ENCODING,
    header::CACHE_CONTROL,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::IF_MATCH,
    header::IF_MODIFIED_SINCE,
    header::IF_NONE_MATCH,
    header::IF_RANGE,
    header::IF_UNMODIFIED_SINCE,
    header::RANGE,
    COMFY_USER,
];
const FROM_BACKENDS: [HeaderName; 9] = [
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::CONTENT_ENCODING,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_TYPE,
    header::ETAG,
    header::LAST_MODIFIED,
    header::VARY,
];

pub(super) async fn on(
    client: &Client,
    max_body_bytes: usize,
    request: Request,
) -> Result<Response, Refusal> {
    let (head, body) = request.into_parts();
    let length = length_of(&body, max_body_bytes)?;
    let query = Query::<Vec<(String, String)>>::try_from_uri(&head.uri);
    let query = query.map_err(|e| Refusal::bad_request("bad_query", e.body_text()))?;
    let query: Vec<(&str, &str)> = query.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    let path = at_a_backend(head.uri.path())?;
    let body = (length > 0).then(|| reqwest::Body::wrap_stream(body.into_data_stream()));
    let headers = only(&TO_BACKENDS, &head.headers);
    let answer = client.pass_on(head.method, &path, &query, headers, body).await.map_err(refusal)?;
    if answer.status.is_redirection() && answer.status != StatusCode::NOT_MODIFIED {
        let message =
            format!("{} sends elsewhere: give its own address as the backend's url", client.backend());
        return Err(Refusal::new(StatusCode::BAD_GATEWAY, "backend_redirects", message));
    }
    let mut told = only(&FROM_BACKENDS, &answer.headers);
    told.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok((answer.status, told, Body::from_stream(answer.into_stream())).into_response())
}

/// Routes stand without `/api` in every generation, but for files of node packs' templates. A proxy before the backend may
/// read an escaped slash as one, and so be led off the list by `..`.
fn at_a_backend(path: &str) -> Result<String, Refusal> {
    let read = percent_decode_str(path).decode_utf8_lossy();
    if read.split(['/', '\\']).any(|part| matches!(part, "." | "..")) {
        return Err(Refusal::bad_request("bad_path", format!("the path {path} leads out of its folder")));
    }
    let prefix = if path.starts_with("/workflow_templates/") { "/api" } else { "" };
    Ok(format!("{prefix}{path}"))
}

/// A body that does not say its length cannot be bounded before it is sent.
fn length_of(body: &Body, max_body_bytes: usize) -> Result<u64, Refusal> {
    let unknown = || {
        let message = "send the body with its Content-Length";
        Refusal::new(StatusCode::LENGTH_REQUIRED, "length_required", message)
    };
    let length = body.size_hint().exact().ok_or_else(unknown)?;
    if length > max_body_bytes as u64 {
        let message = format!("the body has {length} bytes; at most {max_body_bytes} are taken");
        return Err(Refusal::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message));
    }
    Ok(length)
}

fn only(names: &[HeaderName], headers: &HeaderMap) -> HeaderMap {
    let listed = headers.iter().filter(|(name, _)| names.contains(name));
    listed.map(|(name, value)| (name.clone(), value.clone())).collect()
}

fn refusal(error: comfyui::Error) -> Refusal {
    match error.cause {
        Cause::Unsendable(_) => Refusal::bad_request("bad_path", error.to_string()),
        Cause::Timeout => Refusal::new(StatusCode::GATEWAY_TIMEOUT, "backend_silent", error.to_string()),
        _ => Refusal::new(StatusCode::BAD_GATEWAY, "backend_unreachable", error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(listed: &[HeaderName], given: &[&'static str]) -> Vec<String> {
        let value = || HeaderValue::from_static("x");
        let headers = given.iter().map(|name| (HeaderName::from_static(name), value())).collect();
        only(listed, &headers).keys().map(ToString::to_string).collect()
    }

    #[test]
    fn no_credential_and_no_origin_reaches_a_backend() {
        let given =
            ["authorization", "cookie", "origin", "host", "connection", "x-forwarded-for", "sec-fetch-site"];
        assert!(names(&TO_BACKENDS, &given).is_empty());
        let wanted = ["range", "if-none-match", "comfy-user", "content-type"];
        assert_eq!(names(&TO_BACKENDS, &wanted), wanted);
    }

    #[test]
    fn a_backend_sets_no_cookie_and_opens_no_other_site() {
        let given = ["set-cookie", "access-control-allow-origin", "transfer-encoding", "server", "location"];
        assert!(names(&FROM_BACKENDS, &given).is_empty());
        let wanted = ["content-type", "etag", "cache-control", "content-encoding", "content-range"];
        assert_eq!(names(&FROM_BACKENDS, &wanted), wanted);
    }

    #[test]
    fn a_body_is_bounded_before_it_is_sent() {
        assert_eq!(length_of(&Body::from("12345"), 5).unwrap(), 5);
        assert_eq!(length_of(&Body::from("123456"), 5).unwrap_err().status, StatusCode::PAYLOAD_TOO_LARGE);
        let endless =
            Body::from_stream(futures_util::stream::empty::<Result<axum::body::Bytes, std::io::Error>>());
        assert_eq!(length_of(&endless, 5).unwrap_err().status, StatusCode::LENGTH_REQUIRED);
    }
}
