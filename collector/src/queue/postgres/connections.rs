//! A few connections to the server, opened when they are needed. Whatever goes wrong on one, it is not used again: the next
//! one tells whether the server is back. Nobody waits long for a server that is silent.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_util::TryStreamExt;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::Query;
use sqlx::{Connection, PgConnection, Postgres as Db};
use tokio::sync::{Semaphore, SemaphorePermit};
use tokio::time::timeout;

use super::super::error::{Error, Outcomes, failed};
use super::lock::Holder;
use super::open::Server;
use crate::limits;

/// A connection that nobody used for so long is asked first whether it still is one.
const FRESH_FOR: Duration = Duration::from_secs(1);
const PING_WITHIN: Duration = Duration::from_secs(1);

pub(super) struct Connections {
    server: Server,
    idle: Mutex<Vec<(PgConnection, Instant)>>,
    places: Semaphore,
    /// Who holds the database's lock on the only one of them.
    holder: Option<Holder>,
}

/// One that is lent. Dropped it is closed, and what it left undone is undone by the server.
pub(super) struct Lent<'a> {
    pub(super) connection: PgConnection,
    home: &'a Connections,
    _place: SemaphorePermit<'a>,
}

impl Connections {
    pub(super) fn of(server: Server, places: usize) -> Self {
        Self { server, idle: Mutex::default(), places: Semaphore::new(places), holder: None }
    }

    /// One connection, which holds the database's lock, as any does that takes its place.
    pub(super) fn holding(server: Server, connection: PgConnection, holder: Holder) -> Self {
        let idle = Mutex::new(vec![(connection, Instant::now())]);
        Self { server, idle, places: Semaphore::new(1), holder: Some(holder) }
    }

    /// Waits for a place, and for a connection as long as it may take to open one.
    pub(super) async fn lend(&self) -> Outcomes<Lent<'_>> {
        let place = self.places.acquire().await.map_err(|_| self.silent())?;
        let connection = match self.idle_one().await {
            Some(connection) => connection,
            None => self.new_one().await?,
        };
        Ok(Lent { connection, home: self, _place: place })
    }

    pub(super) async fn rows(
        &self,
        operation: &'static str,
        query: Query<'_, Db, PgArguments>,
    ) -> Outcomes<Vec<PgRow>> {
        self.read(operation, query, Ok).await
    }

    /// Reads row by row: all rows at once may take more memory than what they tell.
    pub(super) async fn read<T>(
        &self,
        operation: &'static str,
        query: Query<'_, Db, PgArguments>,
        mut tell: impl FnMut(PgRow) -> Outcomes<T>,
    ) -> Outcomes<Vec<T>> {
        let read = async {
            let mut lent = self.lend().await?;
            let mut told = Vec::new();
            let mut rows = query.fetch(&mut lent.connection);
            while let Some(row) = rows.try_next().await.map_err(failed(operation))? {
                told.push(tell(row)?);
            }
            drop(rows);
            lent.give_back();
            Ok(told)
        };
        self.within(limits::DATABASE_READ_WITHIN, read).await
    }

    pub(super) async fn within<T>(
        &self,
        within: Duration,
        work: impl Future<Output = Outcomes<T>>,
    ) -> Outcomes<T> {
        timeout(within, work).await.unwrap_or_else(|_| Err(self.silent()))
    }

    pub(super) fn holder(&self) -> Option<&Holder> {
        self.holder.as_ref()
    }

    async fn new_one(&self) -> Outcomes<PgConnection> {
        let mut connection = self.server.connect().await?;
        if let Some(holder) = &self.holder {
            holder.resume(&mut connection).await?;
        }
        Ok(connection)
    }

    async fn idle_one(&self) -> Option<PgConnection> {
        loop {
            let (mut connection, since) = self.idle().pop()?;
            if since.elapsed() < FRESH_FOR {
                return Some(connection);
            }
            if let Ok(Ok(())) = timeout(PING_WITHIN, connection.ping()).await {
                return Some(connection);
            }
        }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(PgConnection, Instant)>> {
        // A poisoned list is still a list.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn silent(&self) -> Error {
        Error::Silent { server: self.server.to_string() }
    }
}

impl Lent<'_> {
    /// Nothing went wrong on it.
    pub(super) fn give_back(self) {
        let Self { connection, home, _place } = self;
        home.idle().push((connection, Instant::now()));
    }
}
