//! `/view`: uploaded files from our own store, everything else streamed from the backend that made it, which the first
//! segment of `subfolder` names.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use comfyui::api::FileRef;
use comfyui::{Cause, Client};
use mime_guess::mime::{self, Mime};
use serde::Deserialize;

use super::{App, Refusal};
use crate::id::BackendId;
use crate::job::InputFile;

#[derive(Deserialize)]
pub(super) struct Asked {
    filename: Option<String>,
    #[serde(default)]
    subfolder: String,
    #[serde(rename = "type")]
    kind: Option<String>,
    preview: Option<String>,
    channel: Option<String>,
}

const FORWARD_TO: [HeaderName; 4] =
    [header::RANGE, header::IF_RANGE, header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE];
const FORWARD_FROM: [HeaderName; 9] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::CONTENT_RANGE,
    header::CONTENT_DISPOSITION,
    header::CONTENT_ENCODING,
    header::ACCEPT_RANGES,
    header::CACHE_CONTROL,
    header::ETAG,
    header::LAST_MODIFIED,
];

pub(super) async fn file(
    State(app): State<Arc<App>>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let filename = asked.filename.clone().ok_or_else(|| Refusal::not_found("no filename is given"))?;
    match asked.kind.as_deref().unwrap_or("output") {
        "input" => uploaded(&app, InputFile { subfolder: asked.subfolder, name: filename }).await,
        kind @ ("output" | "temp") => {
            let (client, subfolder) = owner(&app, &asked.subfolder)?;
            let file = FileRef { filename, subfolder, kind: kind.to_owned() };
            let (preview, channel) = (asked.preview.as_deref(), asked.channel.as_deref());
            stream(&client, &file, preview, channel, &headers).await
        }
        other => Err(Refusal::bad_request(
            "bad_type",
            format!("type is {other:?}; it can be input, output or temp"),
        )),
    }
}

/// The backend that a subfolder names, and the subfolder there. A fleet of one needs no name.
fn owner(app: &App, subfolder: &str) -> Result<(Client, String), Refusal> {
    let (first, rest) = subfolder.split_once('/').unwrap_or((subfolder, ""));
    let named = first.parse::<BackendId>().ok().and_then(|id| app.clients.get(&id));
    if let Some(client) = named {
        return Ok((client, rest.to_owned()));
    }
    match app.clients.only() {
        Some(only) => Ok((only, subfolder.to_owned())),
        None => Err(Refusal::not_found(
            "the subfolder does not begin with the name of a backend, as those in /history do, so it is not known whose \
             file this is",
        )),
    }
}

async fn stream(
    client: &Client,
    file: &FileRef,
    preview: Option<&str>,
    channel: Option<&str>,
    headers: &HeaderMap,
) -> Result<Response, Refusal> {
    let asked = headers.iter().filter(|(name, _)| FORWARD_TO.contains(name));
    let asked = asked.map(|(name, value)| (name.clone(), value.clone())).collect();
    let download = client.view(file, preview, channel, asked).await.map_err(refusal)?;
    let told = download.headers.iter().filter(|(name, _)| FORWARD_FROM.contains(name));
    let mut told: HeaderMap = told.map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(kind) = told.get_mut(header::CONTENT_TYPE) {
        *kind = harmless(kind.to_str().ok().and_then(|kind| kind.parse().ok()));
    }
    told.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok((download.status, told, Body::from_stream(download.into_stream())).into_response())
}

fn refusal(error: comfyui::Error) -> Refusal {
    match error.cause {
        Cause::Status { status, .. } if (400..500).contains(&status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
            Refusal::new(status, "not_served", "the backend that should have this file does not serve it")
        }
        Cause::Unsendable(_) => Refusal::bad_request("bad_path", error.to_string()),
        _ => Refusal::new(StatusCode::BAD_GATEWAY, "backend_unreachable", error.to_string()),
    }
}

async fn uploaded(app: &App, file: InputFile) -> Result<Response, Refusal> {
    let missing = || Refusal::not_found(format!("no file {file} was uploaded"));
    let upload = app.files.find_named(&file).ok_or_else(missing)?;
    let content = app.files.content(&upload.sha256).await;
    let content = content.map_err(|e| {
        tracing::error!(%file, error = %e, "an uploaded file cannot be read");
        missing()
    })?;
    let headers = [
        (header::CONTENT_TYPE, harmless(mime_guess::from_path(&file.name).first())),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
        (header::CONTENT_DISPOSITION, disposition(&file.name)),
    ];
    Ok((headers, content).into_response())
}

/// Only what no browser runs as a script keeps its type; all else is sent as bytes, as ComfyUI does.
fn harmless(kind: Option<Mime>) -> HeaderValue {
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
