//! Where a file is: here, as an upload or a copy, or with the backend that made it. Never the wrong one: a name that does
//! not tell its backend counts only where one backend alone can be meant.

use comfyui::Client;
use comfyui::api::FileRef;

use super::super::{App, Refusal};
use super::kept::Kept;
use crate::job::{made_by, owner_of};

pub(in super::super) enum Place {
    Kept(Kept),
    /// With a backend, by the name that it has there.
    Made(Box<Client>, FileRef),
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
    if app.files.contains(file) || app.clients.only().is_some() {
        return Ok(Owner::Needless);
    }
    let made = app.queue.store().made_as(file).await?;
    let only = <[FileRef; 1]>::try_from(made).ok().map(|[only]| only);
    Ok(only.filter(|only| with_owner(app, only).is_some()).map_or(Owner::Unknown, Owner::Found))
}

/// By a name as clients have it, checked already.
pub(in super::super) async fn locate(app: &App, file: &FileRef) -> Result<Place, Refusal> {
    if owner_of(file).is_some()
        && let Some(kept) = copied(app, file).await?
    {
        return Ok(Place::Kept(kept));
    }
    if let Some(upload) = app.files.find(file).filter(|_| with_owner(app, file).is_none()) {
        return Ok(Place::Kept(Kept::Upload(upload)));
    }
    if file.kind == "input" {
        return Err(Refusal::not_found(format!("no file {:?} was uploaded", file.filename)));
    }
    let file = match owner(app, file).await? {
        Owner::Named | Owner::Unknown => file.clone(),
        Owner::Needless => app.clients.only().map_or_else(|| file.clone(), |(only, _)| made_by(&only, file)),
        Owner::Found(found) => found,
    };
    if let Some(kept) = copied(app, &file).await? {
        return Ok(Place::Kept(kept));
    }
    with_owner(app, &file).map(|(client, there)| Place::Made(client, there)).ok_or_else(nobodys)
}

/// A copy, which outlives its backend.
async fn copied(app: &App, file: &FileRef) -> Result<Option<Kept>, Refusal> {
    let Some(archive) = &app.archive else { return Ok(None) };
    Ok(archive.find(file).await?.map(|copy| Kept::Copy(file.clone(), copy)))
}

/// The backend of a file that was copied, while it has a job.
pub(super) fn at_work(app: &App, kept: &Kept) -> Option<(Box<Client>, FileRef)> {
    let Kept::Copy(file, _) = kept else { return None };
    let (owner, _) = owner_of(file)?;
    let queue = app.queue.snapshot();
    let has_job = queue.dispatched().filter_map(|job| job.attempt()).any(|attempt| attempt.backend == owner);
    if has_job { with_owner(app, file) } else { None }
}

/// Where the backend has it of whose file a copy is no longer there.
pub(super) fn behind(app: &App, kept: &Kept) -> Result<(Box<Client>, FileRef), Refusal> {
    match kept {
        Kept::Upload(upload) => {
            let message = format!("the uploaded file {:?} cannot be read any more", upload.file.filename);
            Err(Refusal::not_found(message))
        }
        Kept::Copy(file, _) => with_owner(app, file).ok_or_else(nobodys),
    }
}

fn nobodys() -> Refusal {
    Refusal::not_found(
        "the subfolder does not begin with the name of a backend, as those in /history do, and not exactly one backend has \
         made a file of this name for a job, so it is not known whose file this is",
    )
}

/// By the first segment of the subfolder. Input files are the fleet's, so theirs names none.
fn with_owner(app: &App, file: &FileRef) -> Option<(Box<Client>, FileRef)> {
    let (owner, there) = owner_of(file).filter(|_| file.kind != "input")?;
    Some((Box::new(app.clients.get(&owner)?), there))
}
