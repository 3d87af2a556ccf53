//! `/upload/image` and `/upload/mask`.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Multipart, State};
use axum::http::StatusCode;
use axum::response::Response;
use image::{DynamicImage, ImageFormat};
use serde_json::{Value, json};

use super::answer::{empty, json, trouble};
use crate::comfy::files::{Folder, Place, inside};
use crate::comfy::process::Process;
use crate::picture;

/// The fields of an upload. The file must be in the one named `image`.
#[derive(Debug, Default)]
struct Form {
    file: Option<(String, Bytes)>,
    folder: Option<String>,
    subfolder: String,
    overwrite: bool,
    original: Option<Value>,
}

pub(super) async fn upload_image(State(process): State<Arc<Process>>, body: Multipart) -> Response {
    match read(body).await {
        Some(form) => store(&process, form, Some),
        None => empty(StatusCode::BAD_REQUEST),
    }
}

pub(super) async fn upload_mask(State(process): State<Arc<Process>>, body: Multipart) -> Response {
    match read(body).await {
        Some(form) => {
            let original = form.original.as_ref().and_then(|original| original_of(&process, original));
            store(&process, form, |mask| masked(&original?, &mask))
        }
        None => empty(StatusCode::BAD_REQUEST),
    }
}

async fn read(mut body: Multipart) -> Option<Form> {
    let mut form = Form::default();
    while let Some(field) = body.next_field().await.ok()? {
        let name = field.name().unwrap_or_default().to_owned();
        let filename = field.file_name().map(str::to_owned);
        let bytes = field.bytes().await.ok()?;
        let text = || String::from_utf8_lossy(&bytes).into_owned();
        match name.as_str() {
            "image" => form.file = filename.map(|filename| (filename, bytes)),
            "type" => form.folder = Some(text()),
            "subfolder" => form.subfolder = text(),
            "overwrite" => form.overwrite = matches!(text().as_str(), "true" | "1"),
            "original_ref" => form.original = serde_json::from_slice(&bytes).ok(),
            _ => {}
        }
    }
    Some(form)
}

/// A folder that there is none of and a file without a name raise in the original, whatever else is wrong.
fn store(process: &Process, form: Form, made: impl FnOnce(Bytes) -> Option<Bytes>) -> Response {
    let folder = form.folder.as_deref().map_or(Some(Folder::Input), Folder::named);
    let is_nameless = form.file.as_ref().is_some_and(|(filename, _)| filename.is_empty());
    let Some(folder) = folder.filter(|_| !is_nameless) else { return trouble() };
    let stored = || {
        let (filename, bytes) = form.file.filter(|(filename, _)| is_plain(filename))?;
        let place = Place { folder, subfolder: inside(&form.subfolder)?, filename };
        let bytes = made(bytes)?;
        Some(process.rig.disk.upload(place, bytes, form.overwrite, process.generation()))
    };
    let Some(place) = stored() else { return empty(StatusCode::BAD_REQUEST) };
    process.rig.board.count(|counters| counters.uploads += 1);
    json(&json!({"name": place.filename, "subfolder": place.subfolder, "type": place.folder.name()}))
}

fn is_plain(filename: &str) -> bool {
    !filename.contains('/') && filename != ".."
}

/// The picture that a mask belongs to: `{filename, subfolder, type}`.
fn original_of(process: &Process, original: &Value) -> Option<Bytes> {
    let text = |key: &str| original.get(key).and_then(Value::as_str);
    let folder = Folder::named(text("type").unwrap_or("output"))?;
    let subfolder = inside(text("subfolder").unwrap_or_default())?;
    let place = Place { folder, subfolder, filename: text("filename")?.to_owned() };
    process.rig.disk.read(&place)
}

/// The original with the mask's alpha, and with the texts that it carried.
fn masked(original: &[u8], mask: &[u8]) -> Option<Bytes> {
    let mut picture = image::load_from_memory(original).ok()?.to_rgba8();
    let (width, height) = picture.dimensions();
    let mask = image::load_from_memory(mask).ok()?;
    let mask = mask.resize_exact(width, height, image::imageops::FilterType::Nearest).to_rgba8();
    for (pixel, alpha) in picture.pixels_mut().zip(mask.pixels()) {
        let [red, green, blue, _] = pixel.0;
        let [.., alpha] = alpha.0;
        pixel.0 = [red, green, blue, alpha];
    }
    let encoded = picture::encoded(&DynamicImage::ImageRgba8(picture), ImageFormat::Png).ok()?;
    Some(picture::with_chunks(&encoded, &picture::text_chunks(original)).into())
}
