//! Where a file is: in our own store, or with the backend that made it. Never the wrong one: a name that does not tell
//! its backend counts only where one backend alone can be meant.

use comfyui::Client;
use comfyui::api::FileRef;

use super::super::{App, Refusal};
use crate::job::owner_of;
use crate::queue::Upload;

pub(in super::super) enum Place<'a> {
    Kept(Upload),
    /// With a backend, by the name that it has there.
    Made(&'a Client, FileRef),
}

/// By a name as clients have it, checked already.
pub(in super::super) async fn locate<'a>(app: &'a App, file: &FileRef) -> Result<Place<'a>, Refusal> {
    if let Some(made) = with_owner(app, file) {
        return Ok(made);
    }
    if let Some(upload) = app.files.find(file) {
        return Ok(Place::Kept(upload));
    }
    if file.kind == "input" {
        return Err(Refusal::not_found(format!("no file {:?} was uploaded", file.filename)));
    }
    match only_client(app) {
        Some(only) => Ok(Place::Made(only, file.clone())),
        None => made_once(app, file).await,
    }
}

/// By the first segment of the subfolder. Input files are the fleet's, so theirs names none.
fn with_owner<'a>(app: &'a App, file: &FileRef) -> Option<Place<'a>> {
    let (owner, there) = owner_of(file).filter(|_| file.kind != "input")?;
    Some(Place::Made(app.clients.get(&owner)?, there))
}

/// A fleet of one needs no name.
fn only_client(app: &App) -> Option<&Client> {
    app.clients.values().next().filter(|_| app.clients.len() == 1)
}

/// For clients that leave the subfolder away: what our jobs made under this name in one place only.
async fn made_once<'a>(app: &'a App, file: &FileRef) -> Result<Place<'a>, Refusal> {
    let made = app.queue.store().made_as(file).await?;
    let only = <[FileRef; 1]>::try_from(made).ok().and_then(|[only]| with_owner(app, &only));
    only.ok_or_else(|| {
        Refusal::not_found(
            "the subfolder does not begin with the name of a backend, as those in /history do, and not exactly one \
             backend has made a file of this name for a job, so it is not known whose file this is",
        )
    })
}
