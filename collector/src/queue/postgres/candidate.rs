//! A collector that would work on the database, and does once nobody else does.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use sqlx::PgConnection;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::directory::claim;
use super::super::error::{Error, Outcomes};
use super::Postgres;
use super::connections::Connections;
use super::lock::{self, Holder};
use super::open::Server;
use crate::limits;

/// A look at the database takes no longer, and the first one no longer than this.
const WITHIN: Duration = Duration::from_secs(3);
const OPEN_WITHIN: Duration = Duration::from_secs(10);

pub struct Candidate {
    server: Server,
    holder: Holder,
    connection: Option<PgConnection>,
    directory: Option<File>,
}

/// What a look has shown.
pub enum Seen {
    /// Nobody works on the database: now this one does.
    Free(Box<Postgres>),
    /// Another does, and can be reached there.
    Led(Option<Leader>),
}

/// The collector that works on the database, and can be asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Leader {
    pub url: Url,
    /// By which it knows those that stand by for it.
    pub pass: String,
}

impl Candidate {
    /// `own`: where other collectors reach this one. `deposed` is cancelled should another take over from it.
    pub fn new(
        url: &Url,
        password: Option<&str>,
        own: Option<Url>,
        deposed: CancellationToken,
    ) -> Outcomes<Self> {
        let (server, holder) = (Server::of(url, password)?, Holder::new(own, deposed));
        Ok(Self { server, holder, connection: None, directory: None })
    }

    /// With a state directory of its own, which is claimed.
    pub fn in_directory(self, directory: &Path) -> Outcomes<Self> {
        Ok(Self { directory: Some(claim(directory)?), ..self })
    }

    /// Takes the database if it is free. After an error the next look begins with a new connection.
    pub async fn look(&mut self) -> Outcomes<Seen> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => timeout(OPEN_WITHIN, self.server.open()).await.map_err(|_| self.silent())??,
        };
        if timeout(WITHIN, lock::lock(&mut connection)).await.map_err(|_| self.silent())?? {
            return self.work_on(connection).await.map(|store| Seen::Free(Box::new(store)));
        }
        let last = timeout(WITHIN, lock::last(&mut connection)).await.map_err(|_| self.silent())??;
        self.connection = Some(connection);
        // One that was here before this one: the database has not noticed yet that it has gone.
        let other = last.filter(|last| !self.holder.is_called(last));
        Ok(Seen::Led(other.and_then(|name| Some(Leader { pass: name.pass(), url: name.url? }))))
    }

    pub(super) fn shown(&self) -> String {
        self.server.to_string()
    }

    fn silent(&self) -> Error {
        Error::Silent { server: self.server.to_string() }
    }

    async fn work_on(&mut self, mut connection: PgConnection) -> Outcomes<Postgres> {
        self.server.migrate(&mut connection).await?;
        timeout(WITHIN, self.holder.take_up(&mut connection)).await.map_err(|_| self.silent())??;
        let others = Connections::of(self.server.clone(), limits::DATABASE_CONNECTIONS);
        let writer = Connections::holding(self.server.clone(), connection, self.holder.clone());
        Ok(Postgres { writer, others, _directory: self.directory.take() })
    }
}
