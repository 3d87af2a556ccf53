//! `database`: the queue's database as a whole, without a collector.

use std::path::Path;
use std::process::ExitCode;

use super::output::{WriteError, print, say};
use crate::config::{ConfigError, Database, DatabaseCommand, DatabaseKind, FilesPlace, Password, PlaceFlags};
use crate::files::{self, ContentError, PlaceError};
use crate::queue::whole::{self, Place};
use crate::queue::{StoreError, Upload};

#[derive(Debug, thiserror::Error)]
pub enum DatabaseToolError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(
        "--from and --to name the same kind: migrate goes from one to the other; for a copy use `database backup`"
    )]
    SameKind,
    #[error("--database names no PostgreSQL database; write it as postgres://USER@HOST:PORT/NAME")]
    NoServer,
    #[error(
        "cannot copy the uploaded file {file}: {source}; the backup is not whole: make room, or see who may read it, remove \
         the directory and start again"
    )]
    Upload { file: String, source: Box<ContentError> },
    #[error(transparent)]
    Place(#[from] PlaceError),
}

pub(super) async fn database(command: DatabaseCommand) -> Result<ExitCode, DatabaseToolError> {
    match command {
        DatabaseCommand::Check(flags) => check(&flags).await,
        DatabaseCommand::Backup { directory, place } => backup(&directory, &place).await,
        DatabaseCommand::Migrate { from, to, place } => migrate(from, to, &place).await,
    }
}

async fn check(flags: &PlaceFlags) -> Result<ExitCode, DatabaseToolError> {
    let (place, files) = place(flags)?;
    let mut findings = whole::check(&place).await?;
    let files = files::Place::of(&files)?;
    findings.problems.extend(missing_uploads(&files, whole::uploads(&place).await?).await?);
    let counts = format!(
        "{place}: {} waiting, {} with a backend, {} ended\n",
        findings.waiting, findings.dispatched, findings.ended
    );
    let problems: String = findings.problems.iter().map(|problem| format!("wrong: {problem}\n")).collect();
    print((counts + &problems).as_bytes())?;
    Ok(if findings.problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn backup(directory: &Path, flags: &PlaceFlags) -> Result<ExitCode, DatabaseToolError> {
    let (from, files) = place(flags)?;
    whole::backup(&from, directory).await?;
    let files = files::Place::of(&files)?;
    let copy = Place::Directory(directory.to_owned());
    let copied_files = files::Place::of(&FilesPlace::Directory(directory.to_owned()))?;
    let mut copied = 0;
    for upload in whole::uploads(&copy).await? {
        match files::copy(&upload, &files, &copied_files).await {
            Ok(()) => copied += 1,
            // It was replaced by another since.
            Err(ContentError::NotFound { .. }) => {
                say(&format!("{} is no longer there, and not in the backup", upload.file.filename));
            }
            Err(source) => {
                return Err(DatabaseToolError::Upload {
                    file: upload.file.filename,
                    source: Box::new(source),
                });
            }
        }
    }
    let found = whole::check(&copy).await?;
    let jobs = found.waiting + found.dispatched + found.ended;
    say(&format!("{jobs} jobs and {copied} uploaded files are in {}", directory.display()));
    Ok(ExitCode::SUCCESS)
}

async fn migrate(
    from: DatabaseKind,
    to: DatabaseKind,
    flags: &PlaceFlags,
) -> Result<ExitCode, DatabaseToolError> {
    if from == to {
        return Err(DatabaseToolError::SameKind);
    }
    let (database, state_directory) = Database::named_by(flags)?;
    let place = |kind| match kind {
        DatabaseKind::Sqlite => Ok(Place::Directory(state_directory.clone())),
        DatabaseKind::Postgres => server(&database).ok_or(DatabaseToolError::NoServer),
    };
    let (from, to) = (place(from)?, place(to)?);
    let copied = whole::migrate(&from, &to).await?;
    let rows: Vec<String> = copied.rows.iter().map(|(table, rows)| format!("{rows} {table}")).collect();
    say(&format!("carried over from {from} to {to}: {}; nothing was taken out of {from}", rows.join(", ")));
    Ok(ExitCode::SUCCESS)
}

/// The database that a collector with these flags would use, and where it keeps uploaded files.
fn place(flags: &PlaceFlags) -> Result<(Place, FilesPlace), DatabaseToolError> {
    let (database, state_directory) = Database::named_by(flags)?;
    let files = database.files_place(&state_directory);
    Ok((server(&database).unwrap_or(Place::Directory(state_directory)), files))
}

fn server(database: &Database) -> Option<Place> {
    let password = database.password.as_ref().map(Password::as_str).map(str::to_owned);
    database.server.clone().map(|url| Place::Server { url, password })
}

async fn missing_uploads(files: &files::Place, uploads: Vec<Upload>) -> Result<Vec<String>, PlaceError> {
    let are_there = files::are_there(files, &uploads).await?;
    let missing = uploads.into_iter().zip(are_there).filter(|(_, is_there)| !is_there);
    let told = missing
        .map(|(Upload { file, .. }, _)| format!("the uploaded file {} is not there in full", file.filename));
    Ok(told.collect())
}
