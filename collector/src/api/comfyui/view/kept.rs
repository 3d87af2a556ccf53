//! An uploaded file from our own store: streamed, or rendered as ComfyUI would.

use std::io::SeekFrom;
use std::ops::Range;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use mime_guess::mime::{self, Mime};
use tokio::io::{AsyncReadExt, AsyncSeekExt};
use tokio_util::io::ReaderStream;

use super::super::{App, Refusal};
use super::part::Part;
use crate::picture::{PictureError, Rendition, rendered};
use crate::queue::Upload;

pub(super) async fn serve(
    app: &App,
    upload: &Upload,
    rendition: Option<Rendition>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let answer = match rendition {
        Some(rendition) => {
            let content = app.files.content(&upload.sha256).await.map_err(|e| unreadable(upload, &e))?;
            let bytes = on_pictures(app, move || rendered(&content, rendition)).await?;
            ([(header::CONTENT_TYPE, rendition.content_type())], bytes).into_response()
        }
        None => part(app, upload, headers).await?,
    };
    Ok((told(&upload.file.filename), answer).into_response())
}

/// Work on pictures is slow and takes much memory: off the async threads, a few at once.
pub(in super::super) async fn on_pictures(
    app: &App,
    work: impl FnOnce() -> Result<Vec<u8>, PictureError> + Send + 'static,
) -> Result<Vec<u8>, Refusal> {
    // A semaphore that is never closed always gives its pass in the end.
    let _pass = app.pictures.acquire().await;
    let done = tokio::task::spawn_blocking(work).await;
    let done =
        done.map_err(|e| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", e.to_string()))?;
    done.map_err(|error| Refusal::bad_request("bad_picture", error.to_string()))
}

async fn part(app: &App, upload: &Upload, headers: &HeaderMap) -> Result<Response, Refusal> {
    let (length, tag) = (upload.size_bytes, tag(&upload.sha256));
    let part = Part::asked(headers, &tag, length);
    let kind = harmless(mime_guess::from_path(&upload.file.filename).first());
    let always = [(header::ETAG, tag), (header::ACCEPT_RANGES, "bytes".to_owned())];
    let (status, range) = match part {
        Part::NotModified => return Ok((StatusCode::NOT_MODIFIED, always).into_response()),
        Part::Unsatisfiable => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, always, content_range).into_response());
        }
        Part::All => (StatusCode::OK, 0..length),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    let content_range = || format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
    let content_range = is_part.then(|| [(header::CONTENT_RANGE, content_range())]);
    let content_length = [(header::CONTENT_LENGTH, (range.end - range.start).to_string())];
    let body = stream(app, upload, range).await.map_err(|e| unreadable(upload, &e))?;
    let told = (always, content_range, content_length, [(header::CONTENT_TYPE, kind)]);
    Ok((status, told, body).into_response())
}

async fn stream(app: &App, upload: &Upload, range: Range<u64>) -> std::io::Result<Body> {
    let mut file = app.files.open_content(&upload.sha256).await?;
    file.seek(SeekFrom::Start(range.start)).await?;
    Ok(Body::from_stream(ReaderStream::new(file.take(range.end - range.start))))
}

fn unreadable(upload: &Upload, error: &std::io::Error) -> Refusal {
    tracing::error!(file = upload.file.filename, %error, "an uploaded file cannot be read");
    Refusal::not_found(format!("the uploaded file {:?} cannot be read any more", upload.file.filename))
}

fn tag(sha256: &[u8; 32]) -> String {
    let digits: String = sha256.iter().map(|byte| format!("{byte:02x}")).collect();
    format!("\"{digits}\"")
}

fn told(name: &str) -> [(header::HeaderName, HeaderValue); 2] {
    let nosniff = HeaderValue::from_static("nosniff");
    [(header::CONTENT_DISPOSITION, disposition(name)), (header::X_CONTENT_TYPE_OPTIONS, nosniff)]
}

/// Only what no browser runs as a script keeps its type; all else is sent as bytes, as ComfyUI does.
pub(super) fn harmless(kind: Option<Mime>) -> HeaderValue {
    let harmless = kind.filter(|kind| match kind.type_() {
        mime::IMAGE => kind.subtype() != mime::SVG,
        mime::VIDEO | mime::AUDIO => true,
        _ => matches!(kind.essence_str(), "text/plain" | "application/json" | "model/gltf-binary"),
    });
    let text = harmless.map_or_else(|| "application/octet-stream".to_owned(), |kind| kind.to_string());
    HeaderValue::from_str(&text).unwrap_or(HeaderValue::from_static("application/octet-stream"))
}

fn disposition(name: &str) -> HeaderValue {
    let quoted = name.replace(['"', '\\'], "_");
    HeaderValue::from_str(&format!("filename=\"{quoted}\"")).unwrap_or(HeaderValue::from_static("attachment"))
}
