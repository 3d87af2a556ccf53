//! Brings files to the backend that will run a job that names them: uploads under the names that the job uses, files of
//! other backends streamed from there.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use comfyui::api::FileRef;
use comfyui::{Cause, Client};
use reqwest::header::CONTENT_LENGTH;

use super::loaded::{Loaded, Source};
use super::tools::Tools;
use crate::files::{ContentError, Files};
use crate::id::BackendId;
use crate::job::{InputFile, as_input, input_file};
use crate::limits;
use crate::queue::Upload;

/// What each name in a backend's input folder stands for, by the SHA-256 of its content.
type Delivery = HashMap<InputFile, [u8; 32]>;

/// What lies on which backend, so that a file travels once. Forgotten when a backend goes down.
#[derive(Default)]
pub(super) struct Delivered {
    by_backend: Mutex<HashMap<BackendId, Delivery>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the uploaded file {file} is no longer there")]
    Missing { file: String },
    #[error("the uploaded file {file} cannot be read: {source}")]
    Unread { file: String, source: ContentError },
    #[error("the file {file} is no longer with its backend {owner}: {source}")]
    Gone { file: String, owner: BackendId, source: comfyui::Error },
    #[error(transparent)]
    Backend(#[from] comfyui::Error),
    #[error("the backend stored the uploaded file {file} as {stored}")]
    Renamed { file: String, stored: String },
}

impl Delivered {
    fn with<T>(&self, backend: &BackendId, act: impl FnOnce(&mut Delivery) -> T) -> T {
        let mut by_backend = self.by_backend.lock().unwrap_or_else(PoisonError::into_inner);
        act(by_backend.entry(backend.clone()).or_default())
    }

    pub(super) fn forget(&self, backend: &BackendId) {
        self.with(backend, HashMap::clear);
    }

    /// Uploads what is not there yet.
    pub(super) async fn deliver(
        &self,
        files: &Files,
        backend: &BackendId,
        client: &Client,
        needed: &[InputFile],
    ) -> Result<(), DeliveryError> {
        for file in needed {
            let Some(upload) = files.find(&input_file(file)) else { continue };
            if self.with(backend, |delivered| delivered.get(file) == Some(&upload.sha256)) {
                continue;
            }
            let (upload, content) = read(files, &input_file(file)).await?;
            send(client, &upload, content).await?;
            self.with(backend, |delivered| {
                if delivered.len() >= limits::DELIVERED_FILES {
                    delivered.clear();
                }
                delivered.insert(file.clone(), upload.sha256)
            });
        }
        Ok(())
    }
}

/// The file as it is named now. One that is replaced while it is read is found under its new content.
async fn read(files: &Files, file: &FileRef) -> Result<(Upload, Bytes), DeliveryError> {
    for _ in 0..3 {
        let Some(upload) = files.find(file) else { break };
        match files.content(&upload.sha256).await {
            Ok(content) => return Ok((upload, content)),
            Err(ContentError::NotFound { .. }) => {}
            Err(source) => return Err(DeliveryError::Unread { file: as_input(file), source }),
        }
    }
    Err(DeliveryError::Missing { file: as_input(file) })
}

async fn send(client: &Client, upload: &Upload, content: Bytes) -> Result<(), DeliveryError> {
    put(client, &upload.file, content.into(), Some(upload.size_bytes)).await
}

/// Under exactly this name.
async fn put(
    client: &Client,
    file: &FileRef,
    body: reqwest::Body,
    length_bytes: Option<u64>,
) -> Result<(), DeliveryError> {
    let request = comfyui::client::Upload {
        subfolder: file.subfolder.clone(),
        kind: file.kind.clone(),
        overwrite: true,
        length_bytes,
        ..comfyui::client::Upload::input(file.filename.clone(), body)
    };
    let stored = client.upload_image(request).await?;
    if stored.name == file.filename {
        return Ok(());
    }
    Err(DeliveryError::Renamed { file: as_input(file), stored: stored.name })
}

/// Copies what the prompt loads and is not there. Each time anew: under a file's name its owner may have another by now.
pub(super) async fn bring(tools: &Tools, to: &Client, loaded: &[Loaded]) -> Result<(), DeliveryError> {
    for Loaded { source, there, .. } in loaded {
        match source {
            Source::There => {}
            Source::Kept(file) => {
                let (upload, content) = read(&tools.files, file).await?;
                put(to, there, content.into(), Some(upload.size_bytes)).await?;
            }
            Source::With(owner, file) => {
                let Some(from) = tools.clients.get(owner) else { continue };
                copy(&from, file, owner, to, there).await?;
            }
        }
    }
    Ok(())
}

/// Streamed through: neither file is held here.
async fn copy(
    from: &Client,
    file: &FileRef,
    owner: &BackendId,
    to: &Client,
    there: &FileRef,
) -> Result<(), DeliveryError> {
    let download = from.open_file(file).await.map_err(|source| match source.cause {
        Cause::Status { status: 400..500, .. } => {
            DeliveryError::Gone { file: as_input(file), owner: owner.clone(), source }
        }
        _ => DeliveryError::Backend(source),
    })?;
    let length = download.headers.get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    put(to, there, reqwest::Body::wrap_stream(download.into_stream()), length).await
}
