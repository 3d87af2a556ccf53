//! Who works on the database: whoever holds its lock, and it is the connection that commits which holds it. So nothing is
//! committed but by the one that holds it, and all that an earlier connection had begun is over once the next one has it.
//! Beside the lock stands who held it last: one that finds another's name there has been away for too long.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;
use url::Url;
use uuid::Uuid;

use super::super::error::{Error, Outcomes, damaged, failed};

/// The key of the setting that names the holder.
const HOLDER: &str = "holder";
/// What the lock is taken on; the schema's name goes with it.
const LOCK: &str = "orchestrator_migrations";
/// How often one that was cut off looks for its own lock before it says that it must wait, and in which steps.
const HELD_LOOKS: u32 = 40;
const HELD_FOR: Duration = Duration::from_millis(50);
const UNDEFINED_TABLE: &str = "42P01";

/// One collector, from its start to its end.
#[derive(Clone, Debug)]
pub(super) struct Holder {
    name: Name,
    /// Cancelled when another collector has taken over.
    deposed: CancellationToken,
}

/// As it stands in the database.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Name {
    id: Uuid,
    /// Where other collectors reach it; none where it shares with none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<Url>,
}

impl Name {
    /// It is nobody's but the database's.
    pub(super) fn pass(&self) -> String {
        self.id.to_string()
    }
}

impl Holder {
    pub(super) fn new(url: Option<Url>, deposed: CancellationToken) -> Self {
        Self { name: Name { id: Uuid::new_v4(), url }, deposed }
    }

    /// For the first time, on a connection that holds the lock.
    pub(super) async fn take_up(&self, db: &mut PgConnection) -> Outcomes<()> {
        let name = serde_json::to_string(&self.name).map_err(|e| damaged("a name")(e.to_string()))?;
        let query =
            "INSERT INTO setting (key, value) VALUES ($1, $2) ON CONFLICT (key) DO UPDATE SET value = $2";
        let written = sqlx::query(query).bind(HOLDER).bind(name).execute(db).await;
        written.map(drop).map_err(failed("write who works on the database"))
    }

    pub(super) fn pass(&self) -> String {
        self.name.pass()
    }

    pub(super) fn is_called(&self, name: &Name) -> bool {
        self.name.url == name.url
    }

    /// Once more, on a new connection. Its server has to notice first that the one before has gone.
    pub(super) async fn resume(&self, db: &mut PgConnection) -> Outcomes<()> {
        for _ in 0..HELD_LOOKS {
            match self.look(db).await {
                Err(Error::Held) => tokio::time::sleep(HELD_FOR).await,
                seen => return seen,
            }
        }
        self.look(db).await
    }

    async fn look(&self, db: &mut PgConnection) -> Outcomes<()> {
        let is_free = lock(db).await?;
        match (last(db).await?.is_some_and(|last| last.id == self.name.id), is_free) {
            (true, true) => Ok(()),
            (true, false) => Err(Error::Held),
            (false, _) => {
                self.deposed.cancel();
                Err(Error::Deposed)
            }
        }
    }
}

/// Takes the lock for as long as the connection lasts, if nobody has it.
pub(super) async fn lock(db: &mut PgConnection) -> Outcomes<bool> {
    let query = sqlx::query_scalar("SELECT pg_try_advisory_lock(hashtext($1), hashtext(current_schema()))");
    query.bind(LOCK).fetch_one(db).await.map_err(failed("look who works on the database"))
}

/// Who held it last; `None`: nobody, or one of a version that left no name.
pub(super) async fn last(db: &mut PgConnection) -> Outcomes<Option<Name>> {
    let query = sqlx::query_scalar("SELECT value FROM setting WHERE key = $1").bind(HOLDER);
    let found: Result<Option<String>, sqlx::Error> = query.fetch_optional(db).await;
    let is_new = |error: &sqlx::Error| {
        error.as_database_error().and_then(|error| error.code()).is_some_and(|code| code == UNDEFINED_TABLE)
    };
    match found {
        Ok(row) => row
            .map(|row| serde_json::from_str(&row).map_err(|e| damaged("a name")(e.to_string())))
            .transpose(),
        Err(error) if is_new(&error) => Ok(None),
        Err(error) => Err(failed("look who works on the database")(error)),
    }
}
