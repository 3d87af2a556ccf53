//! The newest picture of a running job's unfinished result.

use std::sync::Arc;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use comfyui::Frame;
use comfyui::message::{ImageType, Preview};

use super::super::{App, Refusal};
use super::openapi::Problem;
use crate::id::JobId;

/// The newest picture of an unfinished result, as the backend sent it: JPEG or PNG. 204 while there is none.
#[utoipa::path(get, path = "/orchestrator/v1/jobs/{id}/preview", tag = "jobs",
    params(("id" = String, Path, description = "The job's id")),
    responses((status = 200, body = Vec<u8>, content_type = "image/jpeg"), (status = 204), (status = "4XX", body = Problem)))]
pub(super) async fn preview(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<Response, Refusal> {
    let unknown = || Refusal::not_found(format!("no job has the id {id}"));
    let job = JobId::canonical(&id).ok_or_else(unknown)?;
    let Some((kind, image)) = app.hub.preview(job).and_then(|preview| picture(preview.frame)) else {
        app.queue.store().listed(job).await?.ok_or_else(unknown)?;
        return Ok(StatusCode::NO_CONTENT.into_response());
    };
    let headers = HeaderMap::from_iter([
        (header::CONTENT_TYPE, HeaderValue::from_static(kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    ]);
    Ok((headers, image).into_response())
}

/// What a page may show as what it is.
fn picture(frame: Bytes) -> Option<(&'static str, Bytes)> {
    match Frame::from_binary(frame) {
        Ok(Frame::Preview(Preview {
            image_type: kind @ (ImageType::Jpeg | ImageType::Png), image, ..
        })) => Some((kind.mime(), image)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_picture_that_says_what_it_is_is_shown() {
        let jpeg = Bytes::from_static(&[0, 0, 0, 1, 0, 0, 0, 1, 0xff, 0xd8]);
        assert_eq!(picture(jpeg), Some(("image/jpeg", Bytes::from_static(&[0xff, 0xd8]))));
        for other in [&[0, 0, 0, 1, 0, 0, 0, 9, b'<'][..], &[0, 0, 0, 3, 0, 0, 0, 1, b'7', b'x'], &[]] {
            assert_eq!(picture(Bytes::copy_from_slice(other)), None);
        }
    }
}
