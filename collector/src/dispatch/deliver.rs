//! Brings uploaded files to the backend that will run a job that names them, under the names that the job uses.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use comfyui::Client;
use comfyui::client::Upload;

use crate::files::Files;
use crate::id::BackendId;
use crate::job::InputFile;
use crate::limits;

/// A name in ComfyUI's input folder, and the content it stands for.
type Delivery = (InputFile, [u8; 32]);

/// What lies on which backend, so that a file travels once. Forgotten when a backend goes down.
#[derive(Default)]
pub(super) struct Delivered {
    by_backend: Mutex<HashMap<BackendId, HashSet<Delivery>>>,
}

#[derive(Debug, thiserror::Error)]
pub(super) enum DeliveryError {
    #[error("the uploaded file {file} is no longer there: {source}")]
    Missing { file: InputFile, source: std::io::Error },
    #[error(transparent)]
    Backend(#[from] comfyui::Error),
    #[error("the backend stored the uploaded file {file} as {stored}")]
    Renamed { file: InputFile, stored: String },
}

impl Delivered {
    fn with<T>(&self, backend: &BackendId, act: impl FnOnce(&mut HashSet<Delivery>) -> T) -> T {
        let mut by_backend = self.by_backend.lock().unwrap_or_else(PoisonError::into_inner);
        act(by_backend.entry(backend.clone()).or_default())
    }

    pub(super) fn forget(&self, backend: &BackendId) {
        self.with(backend, HashSet::clear);
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
            let Some(upload) = files.find(file) else { continue };
            let key = (file.clone(), upload.sha256);
            if self.with(backend, |delivered| delivered.contains(&key)) {
                continue;
            }
            send(files, client, file, &upload).await?;
            self.with(backend, |delivered| {
                if delivered.len() >= limits::DELIVERED_FILES {
                    delivered.clear();
                }
                delivered.insert(key)
            });
        }
        Ok(())
    }
}

async fn send(
    files: &Files,
    client: &Client,
    file: &InputFile,
    upload: &crate::queue::Upload,
) -> Result<(), DeliveryError> {
    let content = files.content(&upload.sha256).await;
    let content = content.map_err(|source| DeliveryError::Missing { file: file.clone(), source })?;
    let upload = Upload {
        subfolder: file.subfolder.clone(),
        overwrite: true,
        length_bytes: Some(upload.size_bytes),
        ..Upload::input(file.name.clone(), reqwest::Body::from(content))
    };
    let stored = client.upload_image(upload).await?;
    if stored.name == file.name {
        return Ok(());
    }
    Err(DeliveryError::Renamed { file: file.clone(), stored: stored.name })
}
