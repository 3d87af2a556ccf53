//! `/upload/image`: accepted once, kept by content, delivered to a backend before a job that names it runs there.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{FromRequest, Multipart, Request, State};
use axum::http::StatusCode;
use serde_json::{Value, json};

use super::{App, Refusal};
use crate::job::InputFile;

#[derive(Default)]
struct Form {
    image: Option<(String, Bytes)>,
    kind: Option<String>,
    subfolder: String,
    overwrite: bool,
}

pub(super) async fn image(State(app): State<Arc<App>>, request: Request) -> Result<Json<Value>, Refusal> {
    let multipart = Multipart::from_request(request, &()).await;
    let multipart = multipart.map_err(|e| Refusal::bad_request("no_form", e.body_text()))?;
    let form = read(multipart).await?;
    let Some((name, content)) = form.image else {
        let message = "the form has no file in a field called `image`";
        return Err(Refusal::bad_request("no_image", message));
    };
    if let Some(kind) = form.kind.filter(|kind| kind != "input") {
        let message = format!("files of type {kind:?} belong to one backend; only type input is taken here");
        return Err(Refusal::bad_request("bad_type", message));
    }
    let asked = InputFile { subfolder: form.subfolder, name };
    let kept = app.files.keep(&asked, form.overwrite, content).await?;
    Ok(Json(json!({ "name": kept.name, "subfolder": kept.subfolder, "type": "input" })))
}

async fn read(mut multipart: Multipart) -> Result<Form, Refusal> {
    let mut form = Form::default();
    while let Some(field) = multipart.next_field().await.map_err(unreadable)? {
        match field.name() {
            Some("image") => form.image = file(field).await?,
            Some("type") => form.kind = Some(field.text().await.map_err(unreadable)?),
            Some("subfolder") => form.subfolder = field.text().await.map_err(unreadable)?,
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
