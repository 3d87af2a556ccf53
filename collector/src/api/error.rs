//! The one mapping of refusals to HTTP, in the shape of ComfyUI's own `POST /prompt` errors.

use std::borrow::Cow;

use axum::Json;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::files::FilesError;
use crate::queue::{ChangeError, StoreError, SubmitError};
use crate::roster::RosterError;

#[derive(Debug)]
pub struct Refusal {
    pub status: StatusCode,
    /// ComfyUI's word for it where it has one.
    pub kind: Cow<'static, str>,
    pub message: String,
    pub details: String,
    /// Absent: an empty object, as in ComfyUI. Boxed, here and below, so that a refusal stays small to pass around.
    pub extra_info: Option<Box<Value>>,
    pub node_errors: Option<Box<Value>>,
}

impl Refusal {
    pub fn new(status: StatusCode, kind: &'static str, message: impl Into<String>) -> Self {
        let (message, details) = (message.into(), String::new());
        Self { status, kind: kind.into(), message, details, extra_info: None, node_errors: None }
    }

    pub fn bad_request(kind: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, kind, message)
    }

    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not_found", message)
    }

    pub fn details(self, details: impl Into<String>) -> Self {
        Self { details: details.into(), ..self }
    }
}

impl Refusal {
    /// The body of the answer.
    pub fn document(self) -> Value {
        let Self { kind, message, details, .. } = self;
        let or_empty = |value: Option<Box<Value>>| value.map_or_else(|| json!({}), |value| *value);
        let (extra_info, node_errors) = (or_empty(self.extra_info), or_empty(self.node_errors));
        let error = json!({ "type": kind, "message": message, "details": details, "extra_info": extra_info });
        json!({ "error": error, "node_errors": node_errors })
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = self.status;
        let mut response = (status, Json(self.document())).into_response();
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
        }
        response
    }
}

fn unavailable(message: impl Into<String>) -> Refusal {
    Refusal::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", message)
}

impl From<SubmitError> for Refusal {
    fn from(error: SubmitError) -> Self {
        match error {
            SubmitError::Full => Self::new(StatusCode::TOO_MANY_REQUESTS, "queue_full", error.to_string()),
            SubmitError::OwnerFull { .. } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, "max_waiting", error.to_string())
            }
            SubmitError::Conflict(_) => Self::new(StatusCode::CONFLICT, "prompt_id_taken", error.to_string()),
            SubmitError::Store(_) | SubmitError::Stopping => unavailable(error.to_string()),
        }
    }
}

impl From<ChangeError> for Refusal {
    fn from(error: ChangeError) -> Self {
        match error {
            ChangeError::Illegal(_) => Self::new(StatusCode::CONFLICT, "conflict", error.to_string()),
            ChangeError::Store(_) | ChangeError::Stopping => unavailable(error.to_string()),
        }
    }
}

impl From<RosterError> for Refusal {
    fn from(error: RosterError) -> Self {
        let conflict = |kind| Self::new(StatusCode::CONFLICT, kind, error.to_string());
        match error {
            RosterError::Unknown(_) => Self::not_found(error.to_string()),
            RosterError::SameName(_) => conflict("name_taken"),
            RosterError::SameAddress { .. } => conflict("address_taken"),
            RosterError::Full => conflict("too_many_backends"),
            RosterError::Busy { .. } => conflict("backend_has_jobs"),
            RosterError::Address(_) => Self::bad_request("bad_backend", error.to_string()),
            RosterError::Store(error) => error.into(),
            RosterError::Stopping => unavailable(error.to_string()),
        }
    }
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        tracing::error!(%error, "the store failed a request");
        unavailable(error.to_string())
    }
}

impl From<FilesError> for Refusal {
    fn from(error: FilesError) -> Self {
        match error {
            FilesError::Name(bad) => Self::bad_request("bad_file_name", bad.to_string()),
            FilesError::Full { .. } => {
                Self::new(StatusCode::INSUFFICIENT_STORAGE, "uploads_full", error.to_string())
            }
            FilesError::Write { .. } | FilesError::Place(_) | FilesError::Store(_) => {
                tracing::error!(%error, "an upload failed");
                unavailable(error.to_string())
            }
        }
    }
}

pub(super) async fn unknown_path(uri: Uri) -> Refusal {
    Refusal::not_found(format!("the collector has no route {}", uri.path()))
}

pub(super) async fn wrong_method(method: Method, uri: Uri) -> Refusal {
    let message = format!("{} does not take {method}", uri.path());
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message)
}
