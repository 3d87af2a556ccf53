//! Where the queue is kept: in a file of the state directory, or on a database server. Its password never stands where others
//! read it: in a command line or an address.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};

use url::Url;

use super::file::{self, File};
use super::{ConfigError, DatabaseFlags, FilesPlace, PlaceFlags, default_state_directory};
use crate::limits;

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Database {
    /// `None`: SQLite's, in the state directory.
    pub server: Option<Url>,
    /// `None`: as libpq's environment and files say.
    pub password: Option<Password>,
    /// Where files are kept; `None`: in the state directory.
    pub files: Option<FilesPlace>,
}

/// Debug output hides it.
#[derive(Clone, PartialEq)]
pub struct Password(String);

impl Password {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

/// No message shows the address: it may hold a password.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    #[error("--database is no address of a database ({0}); write it as postgres://USER@HOST:PORT/NAME")]
    Address(String),
    #[error(
        "--database holds a password, which others could read there; take it out, and give it in the environment as {PASSWORD}, \
         or in a file that --database-password-file names"
    )]
    PasswordShown,
    #[error(
        "cannot read the file {path} that database_password_file names: {source}; name a file that the collector's user may \
         read"
    )]
    Read { path: PathBuf, source: std::io::Error },
    #[error("there is no password in the first line of {path}, which database_password_file names")]
    NoPassword { path: PathBuf },
}

/// Not a flag's variable: there is no such flag.
const PASSWORD: &str = "ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD";

impl Database {
    /// What these flags and the file name, and the state directory.
    pub(super) fn of(flags: &DatabaseFlags, file: &File) -> Result<(Self, PathBuf), ConfigError> {
        let address = flags.database.as_ref().or(file.database.as_ref());
        let password_file = flags.database_password_file.as_ref().or(file.database_password_file.as_ref());
        let directory = flags.state_directory.clone().or(file.state_directory.clone());
        let directory = directory.or_else(default_state_directory).ok_or(ConfigError::NoStateDirectory)?;
        let server = address.map(|address| server(address)).transpose()?;
        let given = std::env::var(PASSWORD).ok().filter(|password| !password.is_empty()).map(Password);
        let password = match given {
            Some(password) => Some(password),
            None => password_file.map(|file| first_line(file)).transpose()?,
        };
        let files = FilesPlace::of(flags, file)?;
        Ok((Self { server, password, files }, directory))
    }

    pub fn files_place(&self, state_directory: &Path) -> FilesPlace {
        self.files.clone().unwrap_or_else(|| FilesPlace::Directory(state_directory.to_owned()))
    }

    /// What a collector with these flags would use, and its state directory.
    pub fn named_by(flags: &PlaceFlags) -> Result<(Self, PathBuf), ConfigError> {
        let file = flags.config.as_deref().map(file::read).transpose()?.unwrap_or_default();
        Self::of(&flags.database, &file)
    }

    /// Without its parameters.
    pub fn shown(&self) -> String {
        let Some(mut server) = self.server.clone() else { return "sqlite".to_owned() };
        server.set_query(None);
        server.to_string()
    }
}

fn server(address: &str) -> Result<Url, DatabaseError> {
    let url = Url::parse(address).map_err(|e| DatabaseError::Address(e.to_string()))?;
    if !matches!(url.scheme(), "postgres" | "postgresql") {
        return Err(DatabaseError::Address(format!("its scheme is {}", url.scheme())));
    }
    let in_query = url.query_pairs().any(|(key, _)| key == "password");
    if url.password().is_some() || in_query { Err(DatabaseError::PasswordShown) } else { Ok(url) }
}

fn first_line(path: &Path) -> Result<Password, DatabaseError> {
    let mut text = String::new();
    let file = std::fs::File::open(path);
    let read = file.and_then(|file| file.take(limits::SECRET_FILE_BYTES).read_to_string(&mut text));
    read.map_err(|source| DatabaseError::Read { path: path.to_owned(), source })?;
    let line = text.lines().next().filter(|line| !line.is_empty());
    line.map(|line| Password(line.to_owned()))
        .ok_or_else(|| DatabaseError::NoPassword { path: path.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_where_and_as_whom_and_never_holds_the_password() {
        for good in
            ["postgres://fleet@db:5432/fleet?sslmode=verify-full", "postgresql:///fleet?host=/run/postgresql"]
        {
            assert_eq!(server(good).unwrap().as_str(), good);
        }
        for secret in ["postgres://u:hunter2@db/x", "postgres://db/x?password=hunter2"] {
            let error = server(secret).unwrap_err();
            assert!(matches!(error, DatabaseError::PasswordShown), "{error}");
            assert!(!error.to_string().contains("hunter2") && error.to_string().contains(PASSWORD));
        }
        for bad in ["db", "mysql://u:hunter2@db/x", "u:hunter2@db/x"] {
            let said = server(bad).unwrap_err().to_string();
            assert!(said.contains("postgres://USER@HOST:PORT/NAME") && !said.contains("hunter2"), "{said}");
        }
    }

    #[test]
    fn a_password_is_the_first_line_of_its_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "hun ter2\nmore\n").unwrap();
        assert_eq!(first_line(&path).unwrap().as_str(), "hun ter2");
        assert_eq!(format!("{:?}", first_line(&path).unwrap()), "...");
        std::fs::write(&path, "\n").unwrap();
        assert!(matches!(first_line(&path), Err(DatabaseError::NoPassword { .. })));
    }
}
