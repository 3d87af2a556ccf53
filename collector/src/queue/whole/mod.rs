//! Whole databases: looked through, backed up, carried over from one kind to the other. For commands, not for serving.
//!
//! A backup is a state directory with an SQLite database, whichever kind it is of: a collector can be started on it, and
//! it can be carried over to a server. Uploaded files are for the caller to copy.

mod check;
mod copy;
mod side;
mod table;

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

pub use self::check::{Findings, check};
use self::copy::copy;
use self::side::Side;
use super::error::{Error, Outcomes, failed};
use super::row::upload_of;
use super::{Postgres, Sqlite, Store, Upload, sql};

/// Where a database is.
#[derive(Clone, Debug)]
pub enum Place {
    /// An SQLite file in this state directory.
    Directory(PathBuf),
    Server {
        url: Url,
        password: Option<String>,
    },
}

/// Rows that were copied, by table.
#[derive(Debug)]
pub struct Copied {
    pub rows: Vec<(&'static str, u64)>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(directory) => write!(f, "{}", Sqlite::path_in(directory).display()),
            Self::Server { url, .. } => f.write_str(&Postgres::shown(url)),
        }
    }
}

impl Place {
    /// What is there as it is. A collector may work on it meanwhile.
    async fn look(&self) -> Outcomes<Side> {
        match self {
            Self::Directory(directory) => Sqlite::look(directory).await.map(Side::Sqlite),
            Self::Server { url, password } => {
                Postgres::look(url, password.as_deref()).await.map(Side::Postgres)
            }
        }
    }

    /// At this program's version of the schema, and nobody else's as long as what is given lives.
    async fn claim(&self) -> Outcomes<Box<dyn Store>> {
        Ok(match self {
            Self::Directory(directory) => Box::new(Sqlite::open(directory).await?),
            Self::Server { url, password } => Box::new(Postgres::open_alone(url, password.as_deref()).await?),
        })
    }
}

/// Into a directory that is new or empty. A collector may work on the database meanwhile: all is as of one moment.
pub async fn backup(from: &Place, to: &Path) -> Outcomes<()> {
    let has_files = std::fs::read_dir(to).is_ok_and(|mut entries| entries.next().is_some());
    if has_files {
        let advice = "it has files in it already; name a directory that is new or empty".to_owned();
        return Err(Error::Unfit { place: to.display().to_string(), advice });
    }
    let (mut source, target) = (from.look().await?, Place::Directory(to.to_owned()));
    match &mut source {
        Side::Sqlite(source) => {
            super::directory::create(to)?;
            let path = Sqlite::path_in(to).to_string_lossy().into_owned();
            let copied = sqlx::query("VACUUM INTO $1").bind(path).execute(source).await;
            copied.map(drop).map_err(failed("write the backup"))
        }
        Side::Postgres(_) => {
            let _claim = target.claim().await?;
            copy(&mut source, &mut target.look().await?).await.map(drop)
        }
    }
}

/// Those whose content lies in the state directory.
pub async fn uploads(place: &Place) -> Outcomes<Vec<Upload>> {
    let (mut side, failed) = (place.look().await?, failed("list uploads"));
    match &mut side {
        Side::Sqlite(db) => {
            sqlx::query(sql::UPLOADS).fetch_all(db).await.map_err(failed)?.iter().map(upload_of).collect()
        }
        Side::Postgres(db) => {
            sqlx::query(sql::UPLOADS).fetch_all(db).await.map_err(failed)?.iter().map(upload_of).collect()
        }
    }
}

/// Carries everything over into a database that holds no job yet. No collector may work on either.
pub async fn migrate(from: &Place, to: &Place) -> Outcomes<Copied> {
    // Claiming it would make one where there is none.
    drop(from.look().await?);
    let (_from, target) = (from.claim().await?, to.claim().await?);
    let (jobs, uploads) = (target.count(&super::Filter::default()).await?, target.uploads().await?.len());
    if jobs > 0 || uploads > 0 {
        let advice = format!("it holds {jobs} jobs and {uploads} uploaded files; name one that is empty");
        return Err(Error::Unfit { place: to.to_string(), advice });
    }
    copy(&mut from.look().await?, &mut to.look().await?).await
}
