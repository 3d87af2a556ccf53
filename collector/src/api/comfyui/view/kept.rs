//! A file that is kept here, an upload or a copy: streamed, or rendered as ComfyUI would.

use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use comfyui::api::FileRef;
use mime_guess::mime::{self, Mime};

use super::super::{App, Refusal};
use super::part::Part;
use crate::files::ContentError;
use crate::picture::{PictureError, Rendition, rendered};
use crate::queue::{FileCopy, Upload};

pub(in super::super) enum Kept {
    Upload(Upload),
    /// Of a file that a backend has made.
    Copy(FileRef, FileCopy),
}

impl Kept {
    fn filename(&self) -> &str {
        match self {
            Self::Upload(upload) => &upload.file.filename,
            Self::Copy(file, _) => &file.filename,
        }
    }

    fn size_bytes(&self) -> u64 {
        match self {
            Self::Upload(upload) => upload.size_bytes,
            Self::Copy(_, copy) => copy.size_bytes,
        }
    }

    fn tag(&self) -> String {
        match self {
            Self::Upload(upload) => tag(&upload.sha256),
            Self::Copy(_, copy) => format!("\"{}\"", copy.sha256),
        }
    }

    /// `None`: it is no longer there.
    pub(in super::super) async fn content(&self, app: &App) -> Result<Option<Bytes>, Refusal> {
        if self.size_bytes() > app.max_body_bytes as u64 && matches!(self, Self::Copy(..)) {
            let message = format!("the file {:?} is too large to be read as a picture", self.filename());
            return Err(Refusal::bad_request("bad_picture", message));
        }
        let content = match (self, &app.archive) {
            (Self::Upload(upload), _) => app.files.content(&upload.sha256).await,
            (Self::Copy(_, copy), Some(archive)) => archive.content(copy).await,
            (Self::Copy(..), None) => return Ok(None),
        };
        self.if_there(app, content).await
    }

    async fn stream(&self, app: &App, part: Range<u64>) -> Result<Option<Body>, Refusal> {
        let stream = match (self, &app.archive) {
            (Self::Upload(upload), _) => app.files.stream(&upload.sha256, part).await,
            (Self::Copy(_, copy), Some(archive)) => archive.stream(copy, part).await,
            (Self::Copy(..), None) => return Ok(None),
        };
        Ok(self.if_there(app, stream).await?.map(Body::from_stream))
    }

    async fn if_there<T>(&self, app: &App, read: Result<T, ContentError>) -> Result<Option<T>, Refusal> {
        let error = match read {
            Ok(content) => return Ok(Some(content)),
            Err(error) => error,
        };
        tracing::warn!(file = self.filename(), %error, "what is kept of a file cannot be read");
        match (self, &app.archive, error) {
            (Self::Copy(file, copy), Some(archive), ContentError::NotFound { .. }) => {
                archive.lost(file, copy).await;
                Ok(None)
            }
            // Its backend may have it.
            (Self::Copy(..), _, _) | (Self::Upload(_), _, ContentError::NotFound { .. }) => Ok(None),
            (Self::Upload(_), _, error) => {
                let message = format!("the file {:?} cannot be read now: {error}", self.filename());
                Err(Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message))
            }
        }
    }
}

/// `None`: it is no longer there.
pub(super) async fn serve(
    app: &App,
    kept: &Kept,
    rendition: Option<Rendition>,
    headers: &HeaderMap,
) -> Result<Option<Response>, Refusal> {
    let answer = match rendition {
        Some(rendition) => {
            let Some(content) = kept.content(app).await? else { return Ok(None) };
            let bytes = on_pictures(app, move || rendered(&content, rendition)).await?;
            Some(([(header::CONTENT_TYPE, rendition.content_type())], bytes).into_response())
        }
        None => part(app, kept, headers).await?,
    };
    Ok(answer.map(|answer| (told(kept.filename()), answer).into_response()))
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

async fn part(app: &App, kept: &Kept, headers: &HeaderMap) -> Result<Option<Response>, Refusal> {
    let (length, tag) = (kept.size_bytes(), kept.tag());
    let part = Part::asked(headers, &tag, length);
    let kind = harmless(mime_guess::from_path(kept.filename()).first());
    let always = [(header::ETAG, tag), (header::ACCEPT_RANGES, "bytes".to_owned())];
    let (status, range) = match part {
        Part::NotModified => return Ok(Some((StatusCode::NOT_MODIFIED, always).into_response())),
        Part::Unsatisfiable => {
            let content_range = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            let answer = (StatusCode::RANGE_NOT_SATISFIABLE, always, content_range);
            return Ok(Some(answer.into_response()));
        }
        Part::All => (StatusCode::OK, 0..length),
        Part::Range(range) => (StatusCode::PARTIAL_CONTENT, range),
    };
    let is_part = status == StatusCode::PARTIAL_CONTENT;
    let content_range = || format!("bytes {}-{}/{length}", range.start, range.end.saturating_sub(1));
    let content_range = is_part.then(|| [(header::CONTENT_RANGE, content_range())]);
    let content_length = [(header::CONTENT_LENGTH, (range.end - range.start).to_string())];
    let told = (always, content_range, content_length, [(header::CONTENT_TYPE, kind)]);
    Ok(kept.stream(app, range).await?.map(|body| (status, told, body).into_response()))
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
