//! Whose files a prompt loads (`x.png [output]`): each must belong to one backend, or be an upload, or the job could load
//! another backend's file of that name without anybody noticing.

use comfyui::api::FileRef;

use super::view::{Owner, owner};
use super::{App, Refusal};
use crate::job::{as_input, without_backend};

/// The files with their owner's name, where they have one.
///
/// # Errors
/// When it is not known whose a file is, in ComfyUI's words for a file that is not there.
pub(super) async fn with_owners(app: &App, files: Vec<FileRef>) -> Result<Vec<FileRef>, Refusal> {
    let mut known = Vec::with_capacity(files.len());
    for file in &files {
        let found = match owner(app, file).await? {
            Owner::Named | Owner::Needless => Some(file.clone()),
            Owner::Found(found) => Some(found).filter(|found| !is_ambiguous(found, file, &files)),
            Owner::Unknown => None,
        };
        known.push(found.ok_or_else(|| refusal(file))?);
    }
    Ok(known)
}

/// Whether the prompt names another backend's file that is called so there.
fn is_ambiguous(found: &FileRef, file: &FileRef, files: &[FileRef]) -> bool {
    files.iter().any(|other| other != found && without_backend(other).as_ref() == Some(file))
}

fn refusal(file: &FileRef) -> Refusal {
    let message = "Prompt outputs failed validation";
    Refusal::bad_request("prompt_outputs_failed_validation", message).details(format!(
        "Invalid image file: {}: it is not known whose file this is; put the `subfolder` before the name that \
         /history tells, which begins with the backend's",
        as_input(file)
    ))
}
