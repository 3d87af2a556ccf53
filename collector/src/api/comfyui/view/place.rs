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

/// Whose file a name means.
pub(in super::super) enum Owner {
    /// The name tells its backend.
    Named,
    /// It is an upload, or there is one backend only.
    Needless,
    /// The same file with its backend: no other has made one of this name.
    Found(FileRef),
    Unknown,
}

/// By a name of a file of the folders `output` and `temp`.
pub(in super::super) async fn owner(app: &App, file: &FileRef) -> Result<Owner, Refusal> {
    if with_owner(app, file).is_some() {
        return Ok(Owner::Named);
    }
    if app.files.contains(file) || app.clients.len() == 1 {
        return Ok(Owner::Needless);
    }
    let made = app.queue.store().made_as(file).await?;
    let only = <[FileRef; 1]>::try_from(made).ok().map(|[only]| only);
    Ok(only.filter(|only| with_owner(app, only).is_some()).map_or(Owner::Unknown, Owner::Found))
}

/// By a name as clients have it, checked already.
pub(in super::super) async fn locate<'a>(app: &'a App, file: &FileRef) -> Result<Place<'a>, Refusal> {
    if let Some(upload) = app.files.find(file).filter(|_| with_owner(app, file).is_none()) {
        return Ok(Place::Kept(upload));
    }
    if file.kind == "input" {
        return Err(Refusal::not_found(format!("no file {:?} was uploaded", file.filename)));
    }
    let place = match owner(app, file).await? {
        Owner::Named => with_owner(app, file),
        Owner::Needless => app.clients.values().next().map(|only| Place::Made(only, file.clone())),
        Owner::Found(found) => with_owner(app, &found),
        Owner::Unknown => None,
    };
    place.ok_or_else(|| {
        Refusal::not_found(
            "the subfolder does not begin with the name of a backend, as those in /history do, and not exactly one \
             backend has made a file of this name for a job, so it is not known whose file this is",
        )
    })
}

/// By the first segment of the subfolder. Input files are the fleet's, so theirs names none.
fn with_owner<'a>(app: &'a App, file: &FileRef) -> Option<Place<'a>> {
    let (owner, there) = owner_of(file).filter(|_| file.kind != "input")?;
    Some(Place::Made(app.clients.get(&owner)?, there))
}
