//! The node classes that a command goes by: out of a file, or asked of a server once.

use std::path::Path;

use comfyui::{Client, ObjectInfo};
use url::Url;

use super::document::{Document, ReadError};
use crate::config::{ClassFlags, DEFAULT_BACKEND};

/// What the node classes are, and whose.
pub(super) struct Classes {
    /// The file or the server's address, without credentials.
    pub(super) origin: String,
    pub(super) info: ObjectInfo,
}

/// Why there are no node classes.
#[derive(Debug, thiserror::Error)]
pub enum ClassesError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error("{file} is no answer of /object_info: {reason}")]
    Document { file: String, reason: serde_json::Error },
    #[error(
        "{origin} has no node classes: wanted is what a server answers at /object_info, an object with a class a key, \
         each with its `input` and `output`"
    )]
    None { origin: String },
    #[error("{0}\nName another server with --backend URL, or give its /object_info with --object-info FILE.")]
    Backend(#[source] Box<comfyui::Error>),
}

impl Classes {
    /// Those that the flags name, else those of the server where a ComfyUI usually is.
    pub(super) async fn find(flags: &ClassFlags) -> Result<Self, ClassesError> {
        match Self::named(flags).await? {
            Some(classes) => Ok(classes),
            None => Self::of_usual_backend().await,
        }
    }

    /// Those that the flags name.
    pub(super) async fn named(flags: &ClassFlags) -> Result<Option<Self>, ClassesError> {
        Ok(match (&flags.object_info, &flags.backend) {
            (Some(file), _) => Some(Self::of_file(file)?),
            (None, Some(backend)) => Some(Self::of_backend(&backend.0).await?),
            (None, None) => None,
        })
    }

    fn of_file(path: &Path) -> Result<Self, ClassesError> {
        let document = Document::read(path)?;
        match document.json() {
            Ok(info) => Self::plausible(document.name, info),
            Err(reason) => Err(ClassesError::Document { file: document.name, reason }),
        }
    }

    async fn of_usual_backend() -> Result<Self, ClassesError> {
        let usual = Url::parse(DEFAULT_BACKEND).map_err(|error| unusable(&error));
        Self::of_backend(&usual?).await
    }

    async fn of_backend(url: &Url) -> Result<Self, ClassesError> {
        let client = Client::new(url).map_err(backend)?;
        let info = client.object_info().await.map_err(backend)?;
        Self::plausible(client.backend().to_owned(), info)
    }

    /// Every key of a class may be absent, so that a prompt would do for classes without anything.
    fn plausible(origin: String, info: ObjectInfo) -> Result<Self, ClassesError> {
        match info.0.values().any(|class| !class.output.is_null()) {
            true => Ok(Self { origin, info }),
            false => Err(ClassesError::None { origin }),
        }
    }
}

fn backend(error: comfyui::Error) -> ClassesError {
    ClassesError::Backend(Box::new(error))
}

fn unusable(error: &url::ParseError) -> ClassesError {
    backend(comfyui::Error {
        operation: "read the node classes",
        backend: DEFAULT_BACKEND.to_owned(),
        cause: comfyui::Cause::Unsendable(error.to_string()),
    })
}
