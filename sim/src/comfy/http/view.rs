//! `/view`: a file of the three folders, as it is, as a preview, or one channel of it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use image::{DynamicImage, ImageFormat};
use serde::Deserialize;

use super::answer::empty;
use crate::comfy::files::{Folder, Place, inside};
use crate::comfy::process::Process;
use crate::picture;

#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    filename: Option<String>,
    #[serde(rename = "type")]
    folder: Option<String>,
    #[serde(default)]
    subfolder: String,
    preview: Option<String>,
    channel: Option<String>,
}

pub(super) async fn view(
    State(process): State<Arc<Process>>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Response {
    let (place, bytes) = match find(&process, &wanted) {
        Ok(found) => found,
        Err(status) => return empty(status),
    };
    let disposition = format!("filename=\"{}\"", place.filename);
    let always = [(header::CONTENT_DISPOSITION, disposition)];
    match changed(&wanted, &bytes) {
        Some((kind, bytes)) => (always, [(header::CONTENT_TYPE, kind)], bytes).into_response(),
        None => (always, as_it_is(&place.filename, &bytes, &headers)).into_response(),
    }
}

/// A file as the original's HTTP library sends it: with a tag and a date, in parts where asked, not where a copy is
/// good. The date is the same for all, since the folders are in memory.
fn as_it_is(filename: &str, bytes: &Bytes, headers: &HeaderMap) -> Response {
    const CHANGED: &str = "Mon, 23 Nov 2026 02:00:00 GMT";
    let tag = format!("\"{:x}-{:x}\"", picture::checksum(bytes), bytes.len());
    let asked = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let is_good = asked(header::IF_NONE_MATCH) == Some(tag.as_str())
        || asked(header::IF_MODIFIED_SINCE) == Some(CHANGED);
    let always = [
        (header::ETAG, tag),
        (header::LAST_MODIFIED, CHANGED.to_owned()),
        (header::ACCEPT_RANGES, "bytes".to_owned()),
    ];
    if is_good {
        return (StatusCode::NOT_MODIFIED, always).into_response();
    }
    let kind = [(header::CONTENT_TYPE, content_type(filename))];
    match asked(header::RANGE).and_then(|range| part(range, bytes)) {
        Some((range, part)) => {
            (StatusCode::PARTIAL_CONTENT, always, kind, [(header::CONTENT_RANGE, range)], part)
                .into_response()
        }
        None => (always, kind, bytes.clone()).into_response(),
    }
}

/// `bytes=first-last` and what it names.
fn part(range: &str, bytes: &Bytes) -> Option<(String, Bytes)> {
    let (first, last) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (first, last) = (first.parse::<usize>().ok()?, last.parse::<usize>().ok()?);
    let part = bytes.get(first..=last)?;
    Some((format!("bytes {first}-{last}/{}", bytes.len()), bytes.slice_ref(part)))
}

fn find(process: &Process, wanted: &Wanted) -> Result<(Place, Bytes), StatusCode> {
    let filename = wanted.filename.as_deref().ok_or(StatusCode::NOT_FOUND)?;
    if filename.is_empty() || filename.starts_with('/') || filename.contains("..") {
        return Err(StatusCode::BAD_REQUEST);
    }
    let folder = wanted.folder.as_deref().unwrap_or("output");
    let folder = Folder::named(folder).ok_or(StatusCode::BAD_REQUEST)?;
    let subfolder = inside(&wanted.subfolder).ok_or(StatusCode::FORBIDDEN)?;
    let filename = filename.rsplit('/').next().unwrap_or(filename).to_owned();
    let place = Place { folder, subfolder, filename };
    let bytes = process.rig.disk.read(&place).ok_or(StatusCode::NOT_FOUND)?;
    Ok((place, bytes))
}

/// Content type and bytes of what was made of a picture; `None` where it is wanted as it is, or is none.
fn changed(wanted: &Wanted, bytes: &[u8]) -> Option<(&'static str, Vec<u8>)> {
    let is_changed = wanted.preview.is_some() || matches!(wanted.channel.as_deref(), Some("rgb" | "a"));
    let picture = is_changed.then(|| image::load_from_memory(bytes).ok()).flatten()?;
    let (kind, changed) = match (&wanted.preview, wanted.channel.as_deref()) {
        (Some(preview), _) if preview.starts_with("jpeg") => {
            let picture = DynamicImage::ImageRgb8(picture.to_rgb8());
            ("image/jpeg", picture::encoded(&picture, ImageFormat::Jpeg))
        }
        (Some(_), _) => ("image/webp", picture::encoded(&picture, ImageFormat::WebP)),
        (None, Some("a")) => ("image/png", picture::encoded(&alpha(&picture), ImageFormat::Png)),
        (None, _) => {
            ("image/png", picture::encoded(&DynamicImage::ImageRgb8(picture.to_rgb8()), ImageFormat::Png))
        }
    };
    Some((kind, changed.ok()?))
}

/// Black, with the picture's alpha.
fn alpha(picture: &DynamicImage) -> DynamicImage {
    let mut picture = picture.to_rgba8();
    for pixel in picture.pixels_mut() {
        let [.., alpha] = pixel.0;
        pixel.0 = [0, 0, 0, alpha];
    }
    DynamicImage::ImageRgba8(picture)
}

/// By the name's ending; what a browser would run comes as bytes.
fn content_type(filename: &str) -> &'static str {
    let ending = filename.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    match ending.as_deref() {
        Some("png") => "image/png",
        Some("jpg" | "jpeg") => "image/jpeg",
        Some("webp") => "image/webp",
        Some("gif") => "image/gif",
        Some("mp4") => "video/mp4",
        Some("txt") => "text/plain",
        Some("json") => "application/json",
        _ => "application/octet-stream",
    }
}
