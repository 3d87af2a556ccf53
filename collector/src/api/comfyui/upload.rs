//! `/upload/image` and `/upload/mask`: accepted once, kept by content, delivered to a backend before a job that names the
//! file runs there.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use comfyui::api::FileRef;
use serde::Deserialize;
use serde_json::{Value, json};

use super::view::{self, Place, locate, on_pictures};
use super::{App, Refusal};
use crate::files::{FilesError, checked};
use crate::job::owner_of;
use crate::picture::masked;

#[derive(Default)]
struct Form {
    image: Option<(String, Bytes)>,
    kind: Option<String>,
    subfolder: String,
    overwrite: bool,
    original: Option<String>,
}

pub(super) async fn image(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Refusal> {
    let form = read(request).await?;
    let (asked, content) = form.file(&app)?;
    keep(&app, &asked, form.overwrite, content).await
}

/// Unlike ComfyUI, which answers 200 and stores nothing when there is no such original, this says so.
pub(super) async fn mask(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Refusal> {
    let form = read(request).await?;
    let (asked, mask) = form.file(&app)?;
    let original = original(&app, form.original.as_deref().unwrap_or_default()).await?;
    let made = on_pictures(&app, move || masked(&original, &mask)).await?;
    keep(&app, &asked, form.overwrite, made.into()).await
}

async fn keep(app: &App, asked: &FileRef, overwrite: bool, content: Bytes) -> Result<Json<Value>, Refusal> {
    let kept = app.files.keep(asked, overwrite, content).await?;
    Ok(Json(json!({ "name": kept.filename, "subfolder": kept.subfolder, "type": kept.kind })))
}

/// The picture that a mask is drawn on, as our documents name it.
#[derive(Deserialize)]
struct Original {
    filename: String,
    #[serde(default)]
    subfolder: String,
    #[serde(rename = "type")]
    kind: Option<String>,
}

async fn original(app: &App, reference: &str) -> Result<Bytes, Refusal> {
    let unreadable = |e: serde_json::Error| {
        let message =
            "the field `original_ref` holds no {filename, subfolder, type} of the picture to be masked";
        Refusal::bad_request("bad_original_ref", message).details(e.to_string())
    };
    let Original { filename, subfolder, kind } = serde_json::from_str(reference).map_err(unreadable)?;
    let file = view::named(&filename, &subfolder, kind.as_deref())?;
    match locate(app, &file).await? {
        Place::Kept(kept) => kept
            .content(app)
            .await?
            .ok_or_else(|| Refusal::not_found(format!("the file {filename:?} cannot be read any more"))),
        Place::Made(client, file) => {
            client.download(&file, app.max_body_bytes as u64).await.map_err(view::refusal)
        }
    }
}

impl Form {
    /// Under which name it is to be kept, and the content.
    fn file(&self, app: &App) -> Result<(FileRef, Bytes), Refusal> {
        let missing = || Refusal::bad_request("no_image", "the form has no file in a field called `image`");
        let (filename, content) = self.image.clone().ok_or_else(missing)?;
        let kind = self.kind.as_deref().unwrap_or("input");
        if !matches!(kind, "input" | "output" | "temp") {
            let message = format!("type is {kind:?}; it can be input, output or temp");
            return Err(Refusal::bad_request("bad_type", message));
        }
        let file = FileRef { filename, subfolder: self.subfolder.clone(), kind: kind.to_owned() };
        let file = checked(&file).map_err(FilesError::from)?;
        let owner = owner_of(&file).filter(|(owner, _)| kind != "input" && app.clients.get(owner).is_some());
        match owner {
            Some((owner, _)) => {
                let message = format!("the subfolder {owner} holds what that backend makes; choose another");
                Err(Refusal::bad_request("bad_subfolder", message))
            }
            None => Ok((file, content)),
        }
    }
}

async fn read(request: Request) -> Result<Form, Refusal> {
    let multipart = Multipart::from_request(request, &()).await;
    let mut multipart = multipart.map_err(|e| Refusal::bad_request("no_form", e.body_text()))?;
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("image") => form.image = file(field).await?,
            Some("type") => form.kind = Some(field.text().await.map_err(unreadable)?),
            Some("subfolder") => form.subfolder = field.text().await.map_err(unreadable)?,
            Some("original_ref") => form.original = Some(field.text().await.map_err(unreadable)?),
            // ComfyUI takes these two words for yes.
            Some("overwrite") => {
                form.overwrite = matches!(field.text().await.map_err(unreadable)?.as_str(), "true" | "1");
            }
            _ => {}
        }
    }
    Ok(form)
}

/// A field without a file name is no file.
async fn file(field: Field<'_>) -> Result<Option<(String, Bytes)>, Refusal> {
    let Some(name) = field.file_name().map(str::to_owned) else { return Ok(None) };
    Ok(Some((name, field.bytes().await.map_err(unreadable)?)))
}

fn unreadable(error: MultipartError) -> Refusal {
    let kind = match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => "body_too_large",
        _ => "form_unreadable",
    };
    Refusal::new(error.status(), kind, error.body_text())
}
