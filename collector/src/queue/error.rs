//! What can go wrong with a store, in words that tell a person what to do, and what it says of the writes under way.

use std::borrow::Cow;
use std::path::PathBuf;

use sqlx::error::DatabaseError;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot create the state directory {path}: {source}; choose another with --state-directory")]
    Directory { path: PathBuf, source: std::io::Error },
    #[error(
        "the state directory {path} is in use by another orchestrator-collector; stop that one, or give this one a \
         directory of its own with --state-directory"
    )]
    InUse { path: PathBuf },
    #[error("cannot open the database {path}: {reason}; see that this user may write it and its folder")]
    Open { path: PathBuf, reason: String },
    #[error("{place} is no database of orchestrator-collector ({reason}); name another with {flag}")]
    Foreign { place: String, reason: String, flag: &'static str },
    #[error(
        "the database {place} was written by a newer orchestrator-collector ({reason}); run that version, or a newer one"
    )]
    Newer { place: String, reason: String },
    #[error("cannot use the database {server}: {reason}")]
    Server { server: String, reason: String },
    #[error("{place}: {advice}")]
    Unfit { place: String, advice: String },
    #[error("the database {server} does not answer; it is asked again")]
    Silent { server: String },
    #[error(
        "the database has not noticed yet that its connection to this collector was cut; it is asked again"
    )]
    Held,
    #[error("another orchestrator-collector has taken over the database; this one stops")]
    Deposed,
    #[error("cannot {operation}: {}{}", said(source), advice(source))]
    Query { operation: &'static str, source: sqlx::Error },
    #[error("the database holds {what} that cannot be read: {reason}")]
    Damaged { what: String, reason: String },
}

pub(super) type Outcomes<T> = Result<T, Error>;

pub(super) fn failed(operation: &'static str) -> impl Fn(sqlx::Error) -> Error + Copy {
    move |source| Error::Query { operation, source }
}

pub(super) fn damaged(what: impl Into<String>) -> impl FnOnce(String) -> Error {
    let what = what.into();
    move |reason| Error::Damaged { what, reason }
}

/// PostgreSQL's statements raise it where a job is not as its writer knew it.
const OVERTAKEN: &str = "OR001";

impl Error {
    /// What the store holds after a commit that failed so is not known: all of it, nothing, or what somebody else wrote.
    pub(super) fn leaves_doubt(&self) -> bool {
        match self {
            Self::Silent { .. } | Self::Held | Self::Deposed => true,
            Self::Query { source, .. } => match source.as_database_error() {
                Some(said) => code(said).is_some_and(|code| code == OVERTAKEN || is_farewell(&code)),
                None => true,
            },
            _ => false,
        }
    }
}

fn code(error: &dyn DatabaseError) -> Option<Cow<'_, str>> {
    error.code()
}

/// The server ends the connection.
fn is_farewell(code: &str) -> bool {
    code.starts_with("08") || code.starts_with("57P")
}

/// What the database said, without the place in its own source.
pub(super) fn said(error: &sqlx::Error) -> String {
    error.as_database_error().map_or_else(|| error.to_string(), |error| error.message().to_owned())
}

const ROOM: &str = "; free some space on its disk: nothing that was accepted is lost, and it is written again once there is room";
const READ_ONLY: &str = "; it cannot be written: see its permissions, its disk, and that the server is no standby. Nothing that was \
                         accepted is lost";
const BROKEN: &str = "; see its disk, and the kernel's log. Nothing that was accepted is lost";
const AWAY: &str = "; the connection is made again by itself. Nothing that was accepted is lost";

fn advice(error: &sqlx::Error) -> &'static str {
    let said = error.as_database_error().and_then(code);
    match said.as_deref() {
        Some(code) if is_farewell(code) => AWAY,
        Some(code) => match sqlite_code(code) {
            Some(SQLITE_FULL) => ROOM,
            Some(SQLITE_READONLY) => READ_ONLY,
            Some(SQLITE_IOERR) => BROKEN,
            None if code == "53100" => ROOM,
            None if code == "25006" => READ_ONLY,
            _ => "",
        },
        None if matches!(error, sqlx::Error::Io(_)) => AWAY,
        None => "",
    }
}

const SQLITE_READONLY: u32 = 8;
const SQLITE_IOERR: u32 = 10;
const SQLITE_FULL: u32 = 13;

/// The primary of its result codes; `None` for an SQLSTATE, which has five signs.
fn sqlite_code(code: &str) -> Option<u32> {
    code.parse().ok().filter(|_| code.len() < 5).map(|code: u32| code & 0xff)
}
