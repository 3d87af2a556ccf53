//! Reaches the server and opens the database: only a version that is known to do, only a schema that is ours or empty,
//! at this program's version of it.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgConnection};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::error::{Error, Outcomes, said};
use super::Postgres;
use super::candidate::{Candidate, Seen};

/// `server_version_num` of PostgreSQL 15.
const LEAST_VERSION: i32 = 150_000;
/// Ours in a schema that may hold another program's, of the same library, too.
const MIGRATIONS_TABLE: &str = "orchestrator_migrations";
/// A client that is cut off must not hold locks for long, least of all the one by which it works on the database. Over a Unix
/// socket those of TCP mean nothing.
const SESSION: [(&str, &str); 6] = [
    ("client_connection_check_interval", "1s"),
    ("tcp_keepalives_idle", "3"),
    ("tcp_keepalives_interval", "1"),
    ("tcp_keepalives_count", "3"),
    ("tcp_user_timeout", "6s"),
    ("idle_in_transaction_session_timeout", "5s"),
];
const BUSY: &str = "another orchestrator-collector works on it; stop that one first, or give each of them --peer-url, so that one \
                    stands by for the other";
const CONNECT_WITHIN: Duration = Duration::from_secs(5);

/// Never changed once released: a schema grows by the next file, which has the number of its SQLite twin.
const MIGRATIONS: [(i64, &str, &str); 5] = [
    (5, "jobs", include_str!("../../../migrations/postgres/0005_jobs.sql")),
    (6, "webhooks", include_str!("../../../migrations/postgres/0006_webhooks.sql")),
    (7, "course", include_str!("../../../migrations/postgres/0007_course.sql")),
    (8, "history", include_str!("../../../migrations/postgres/0008_history.sql")),
    (9, "copies", include_str!("../../../migrations/postgres/0009_copies.sql")),
];

/// Where the database is, and as whom it is used.
#[derive(Clone)]
pub(super) struct Server {
    options: PgConnectOptions,
    shown: String,
}

/// Never with the password.
impl fmt::Display for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

impl Postgres {
    /// `url` without a password; without `password` it is what libpq's environment and files say. Uploads stay in the
    /// state directory.
    pub async fn open(url: &Url, password: Option<&str>, directory: &Path) -> Outcomes<Self> {
        let candidate = Candidate::new(url, password, None, CancellationToken::new())?;
        Self::of(candidate.in_directory(directory)?).await
    }

    /// Without a state directory.
    pub(in crate::queue) async fn open_alone(url: &Url, password: Option<&str>) -> Outcomes<Self> {
        Self::of(Candidate::new(url, password, None, CancellationToken::new())?).await
    }

    /// The database must be free.
    pub async fn of(mut candidate: Candidate) -> Outcomes<Self> {
        match candidate.look().await? {
            Seen::Free(store) => Ok(*store),
            Seen::Led(_) => Err(Error::Server { server: candidate.shown(), reason: BUSY.to_owned() }),
        }
    }

    /// One connection to what is there as it is, a collector at work on it or not.
    pub(in crate::queue) async fn look(url: &Url, password: Option<&str>) -> Outcomes<PgConnection> {
        let server = Server::of(url, password)?;
        let mut connection = server.connect().await?;
        if !server.check_owner(&mut connection).await? {
            let advice = "no collector has made its tables there; see the database's name and the search_path in --database";
            return Err(Error::Unfit { place: server.to_string(), advice: advice.to_owned() });
        }
        Ok(connection)
    }

    /// Without its parameters.
    pub(in crate::queue) fn shown(url: &Url) -> String {
        let mut bare = url.clone();
        bare.set_query(None);
        bare.to_string()
    }
}

impl Server {
    pub(super) fn of(url: &Url, password: Option<&str>) -> Outcomes<Self> {
        let shown = Postgres::shown(url);
        let options = PgConnectOptions::from_url(url)
            .map_err(|e| Error::Server { server: shown.clone(), reason: e.to_string() })?;
        let options = password.into_iter().fold(options, |options, password| options.password(password));
        let options = options.application_name("orchestrator-collector").options(SESSION);
        Ok(Self { options: options.disable_statement_logging(), shown })
    }

    pub(super) async fn connect(&self) -> Outcomes<PgConnection> {
        match tokio::time::timeout(CONNECT_WITHIN, self.options.connect()).await {
            Ok(connected) => connected.map_err(|error| self.unusable(&error)),
            Err(_) => Err(Error::Silent { server: self.to_string() }),
        }
    }

    /// A connection to a database that can be ours.
    pub(super) async fn open(&self) -> Outcomes<PgConnection> {
        let mut connection = self.connect().await?;
        self.check_kind(&mut connection).await?;
        self.check_owner(&mut connection).await?;
        Ok(connection)
    }

    fn error(&self, reason: impl Into<String>) -> Error {
        Error::Server { server: self.to_string(), reason: reason.into() }
    }

    fn unusable(&self, error: &sqlx::Error) -> Error {
        let code = error.as_database_error().and_then(|error| error.code());
        let advice = match code.as_deref() {
            Some("28P01" | "28000") => {
                "; give the password in ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD or by --database-password-file, and see \
                 pg_hba.conf"
            }
            Some("3D000") => "; create it with createdb",
            Some("42501") => "; grant this user CREATE on the schema, or make it the database's owner",
            _ if matches!(error, sqlx::Error::Io(_)) => {
                "; see that the server runs there and can be reached from here"
            }
            _ => "",
        };
        self.error(format!("{}{advice}", said(error)))
    }

    async fn check_kind(&self, db: &mut PgConnection) -> Outcomes<()> {
        let query = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
                     current_setting('server_encoding')";
        let found: Result<(i32, String, String), _> = sqlx::query_as(query).fetch_one(db).await;
        let (number, version, encoding) = found.map_err(|error| self.unusable(&error))?;
        if number < LEAST_VERSION {
            return Err(self.error(format!("it is PostgreSQL {version}; 15 or later is needed")));
        }
        if encoding != "UTF8" {
            return Err(self.error(format!("its encoding is {encoding}; create one with --encoding=UTF8")));
        }
        Ok(())
    }

    /// Looks without changing anything. False: it is empty. What extensions put there is nobody's.
    async fn check_owner(&self, db: &mut PgConnection) -> Outcomes<bool> {
        let query = "SELECT current_schema(), to_regclass($1) IS NOT NULL, (SELECT count(*) FROM pg_class \
                     WHERE relnamespace = current_schema()::regnamespace AND relkind IN ('r', 'p', 'v', 'm', 'f') \
                     AND NOT EXISTS (SELECT 1 FROM pg_depend WHERE objid = pg_class.oid AND deptype = 'e'))";
        let found: Result<(Option<String>, bool, i64), _> =
            sqlx::query_as(query).bind(MIGRATIONS_TABLE).fetch_one(db).await;
        let (schema, is_ours, tables) = found.map_err(|error| self.unusable(&error))?;
        let Some(schema) = schema else {
            return Err(self.error("none of the schemas in its search_path exists; create one"));
        };
        if is_ours || tables == 0 {
            return Ok(is_ours);
        }
        let reason = format!("another program made the {tables} tables in its schema {schema}");
        Err(Error::Foreign { place: self.to_string(), reason, flag: "--database" })
    }

    pub(super) async fn migrate(&self, db: &mut PgConnection) -> Outcomes<()> {
        let migrations = MIGRATIONS.iter().map(|&(version, name, sql)| {
            let sql = sqlx::SqlStr::from_static(sql);
            Migration::new(version, name.into(), MigrationType::Simple, sql, false)
        });
        let mut migrator = Migrator::with_migrations(migrations.collect());
        // The database's own lock is held meanwhile.
        migrator.set_locking(false);
        migrator.dangerous_set_table_name(MIGRATIONS_TABLE);
        migrator.run_direct(None, db, false).await.map_err(|error| match error {
            MigrateError::VersionMissing(_) | MigrateError::VersionMismatch(_) => {
                Error::Newer { place: self.to_string(), reason: error.to_string() }
            }
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.unusable(&error),
            error => self.error(error.to_string()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::sqlite;

    #[test]
    fn both_databases_are_at_the_same_version_of_the_schema() {
        let (ours, twins) = (super::MIGRATIONS.last().unwrap(), sqlite::MIGRATIONS.last().unwrap());
        assert_eq!(ours.0, twins.0, "each migration has its twin of the same number");
    }
}
