//! Files that go to the collector before the job that names them.

use std::path::Path;

use comfyui::client::Upload;

use super::super::ending::ClientError;
use super::super::server::Server;
use super::draft::Draft;
use crate::config::Pair;

/// Uploads each file; where the collector gave one another name, since its own was taken, the drafts use that.
pub(super) async fn all(server: &Server, uploads: &[Pair], drafts: &mut [Draft]) -> Result<(), ClientError> {
    for Pair { name, value: path } in uploads {
        let given = one(server, name, Path::new(path)).await?;
        drafts.iter_mut().for_each(|draft| draft.rename(name, &given));
    }
    Ok(())
}

/// What a prompt calls the file then. `name` may have folders; no file is replaced.
pub(super) async fn one(server: &Server, name: &str, path: &Path) -> Result<String, ClientError> {
    let unreadable = |reason| ClientError::File { path: path.to_owned(), reason };
    let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
    let metadata = file.metadata().await.map_err(unreadable)?;
    let (subfolder, name) = name.rsplit_once('/').unwrap_or(("", name));
    let upload = Upload {
        subfolder: subfolder.to_owned(),
        // A pipe does not know its length.
        length_bytes: metadata.is_file().then_some(metadata.len()),
        ..Upload::input(name, file)
    };
    Ok(server.client().upload_image(upload).await?.input_value())
}
