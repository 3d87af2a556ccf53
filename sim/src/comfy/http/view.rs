//! `/view`: a file of the three folders, as it is, as a preview, or one channel of it.

use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use image::{DynamicImage, GrayImage, ImageFormat, Luma};
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

pub(super) async fn view(State(process): State<Arc<Process>>, Query(wanted): Query<Wanted>) -> Response {
    match find(&process, &wanted) {
        Ok((place, bytes)) => {
            let (kind, bytes) = shown(&wanted, &place.filename, bytes);
            let disposition = format!("filename=\"{}\"", place.filename);
            let headers =
                [(header::CONTENT_TYPE, kind.to_owned()), (header::CONTENT_DISPOSITION, disposition)];
            (headers, bytes).into_response()
        }
        Err(status) => empty(status),
    }
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

/// Content type and bytes. What is no picture is given as it is.
fn shown(wanted: &Wanted, filename: &str, bytes: Bytes) -> (&'static str, Bytes) {
    let as_it_is = (content_type(filename), bytes.clone());
    let is_changed = wanted.preview.is_some() || wanted.channel.is_some();
    let Some(picture) = is_changed.then(|| image::load_from_memory(&bytes).ok()).flatten() else {
        return as_it_is;
    };
    let changed = match (&wanted.preview, wanted.channel.as_deref()) {
        (Some(preview), _) if preview.starts_with("jpeg") => {
            let picture = DynamicImage::ImageRgb8(picture.to_rgb8());
            ("image/jpeg", picture::encoded(&picture, ImageFormat::Jpeg))
        }
        (Some(_), _) => ("image/webp", picture::encoded(&picture, ImageFormat::WebP)),
        (None, Some("rgb")) => {
            ("image/png", picture::encoded(&DynamicImage::ImageRgb8(picture.to_rgb8()), ImageFormat::Png))
        }
        (None, Some("a")) => ("image/png", picture::encoded(&alpha(&picture), ImageFormat::Png)),
        (None, _) => return as_it_is,
    };
    match changed {
        (kind, Ok(bytes)) => (kind, bytes.into()),
        (_, Err(_)) => as_it_is,
    }
}

fn alpha(picture: &DynamicImage) -> DynamicImage {
    let picture = picture.to_rgba8();
    let (width, height) = picture.dimensions();
    let mut channel = GrayImage::new(width, height);
    for (to, from) in channel.pixels_mut().zip(picture.pixels()) {
        let [.., alpha] = from.0;
        *to = Luma([alpha]);
    }
    DynamicImage::ImageLuma8(channel)
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
