//! `/view`: uploaded files and copies from here, everything else streamed from the backend that made it, which the first
//! segment of `subfolder` names.

mod asked;
mod kept;
mod part;
mod place;

use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use comfyui::api::FileRef;
use comfyui::{Cause, Client};
use serde::Deserialize;

pub(super) use self::asked::named;
pub(super) use self::kept::on_pictures;
pub(super) use self::place::{Owner, Place, locate, owner};
use super::{App, Refusal};
use crate::picture::Rendition;

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
    let filename = asked.filename.as_deref().ok_or_else(|| Refusal::not_found("no filename is given"))?;
    let file = named(filename, &asked.subfolder, asked.kind.as_deref())?;
    let (preview, channel) = (asked.preview.as_deref(), asked.channel.as_deref());
    match locate(&app, &file).await? {
        Place::Kept(kept) => {
            // A job that runs there may just have made another file of that name.
            if let Some((client, there)) = place::at_work(&app, &kept)
                && let Ok(answer) = stream(&client, &there, preview, channel, &headers).await
            {
                return Ok(answer);
            }
            match kept::serve(&app, &kept, Rendition::asked(preview, channel), &headers).await? {
                Some(answer) => Ok(answer),
                None => {
                    let (client, there) = place::behind(&app, &kept)?;
                    stream(&client, &there, preview, channel, &headers).await
                }
            }
        }
        Place::Made(client, file) => stream(&client, &file, preview, channel, &headers).await,
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
        *kind = kept::harmless(kind.to_str().ok().and_then(|kind| kind.parse().ok()));
    }
    told.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Ok((download.status, told, Body::from_stream(download.into_stream())).into_response())
}

pub(super) fn refusal(error: comfyui::Error) -> Refusal {
    match error.cause {
        Cause::Status { status, .. } if (400..500).contains(&status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::NOT_FOUND);
            Refusal::new(status, "not_served", "the backend that should have this file does not serve it")
        }
        Cause::Unsendable(_) => Refusal::bad_request("bad_path", error.to_string()),
        _ => Refusal::new(StatusCode::BAD_GATEWAY, "backend_unreachable", error.to_string()),
    }
}
