//! One connection to a database of either kind, as a copy needs it: rows out of a table, rows into one.

use futures_util::stream::{BoxStream, StreamExt};
use sqlx::query_builder::Separated;
use sqlx::{
    AssertSqlSafe, Executor, PgConnection, Postgres as Pg, QueryBuilder, Sqlite as Lite, SqliteConnection,
};
use uuid::Uuid;

use super::super::error::{Outcomes, damaged, failed};
use super::super::postgres::storable;
use super::table::{Table, Value};
use crate::job::Needs;

pub(super) enum Side {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

type Row = Vec<Value>;

impl Side {
    /// All that is read from now on is as of one moment.
    pub(super) async fn begin_to_read(&mut self) -> Outcomes<()> {
        match self {
            Self::Sqlite(_) => self.execute("BEGIN").await,
            Self::Postgres(_) => self.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await,
        }
    }

    pub(super) async fn execute(&mut self, sql: &'static str) -> Outcomes<()> {
        match self {
            Self::Sqlite(db) => db.execute(sql).await.map(drop),
            Self::Postgres(db) => db.execute(sql).await.map(drop),
        }
        .map_err(failed("copy the database"))
    }

    pub(super) fn rows<'a>(&'a mut self, table: &'a Table) -> BoxStream<'a, Outcomes<Row>> {
        let sql = AssertSqlSafe(format!("SELECT {} FROM {}", table.names(), table.name));
        let failed = failed("read the database");
        match self {
            Self::Sqlite(db) => {
                sqlx::query(sql).fetch(db).map(move |row| table.read(&row.map_err(failed)?)).boxed()
            }
            Self::Postgres(db) => {
                sqlx::query(sql).fetch(db).map(move |row| table.read(&row.map_err(failed)?)).boxed()
            }
        }
    }

    pub(super) async fn insert(&mut self, table: &Table, rows: Vec<Row>) -> Outcomes<()> {
        if rows.is_empty() {
            return Ok(());
        }
        match self {
            Self::Sqlite(db) => {
                let mut query =
                    QueryBuilder::<Lite>::new(format!("INSERT INTO {} ({}) ", table.name, table.names()));
                query.push_values(rows, |mut values, row| {
                    row.into_iter().for_each(|value| bind_lite(&mut values, value))
                });
                query.build().execute(db).await.map(drop)
            }
            Self::Postgres(db) => {
                let models = if table.name == "job" { ", models" } else { "" };
                let mut query = QueryBuilder::<Pg>::new(format!(
                    "INSERT INTO {} ({}{models}) OVERRIDING SYSTEM VALUE ",
                    table.name,
                    table.names()
                ));
                let models = rows.iter().map(|row| models_of(table, row)).collect::<Outcomes<Vec<_>>>()?;
                query.push_values(rows.into_iter().zip(models), |mut values, (row, models)| {
                    row.into_iter().for_each(|value| bind_pg(&mut values, value));
                    if let Some(models) = models {
                        values.push_bind(models);
                    }
                });
                query.build().execute(db).await.map(drop)
            }
        }
        .map_err(failed("copy the database"))
    }
}

fn bind_lite(values: &mut Separated<'_, Lite, &'static str>, value: Value) {
    match value {
        Value::Text(text) => values.push_bind(text),
        Value::Integer(integer) => values.push_bind(integer),
        Value::Real(real) => values.push_bind(real),
        Value::Flag(flag) => values.push_bind(flag),
        Value::Bytes(bytes) => values.push_bind(bytes),
        Value::Job(job) => values.push_bind(job.to_string()),
    };
}

fn bind_pg(values: &mut Separated<'_, Pg, &'static str>, value: Value) {
    match value {
        Value::Text(text) => values.push_bind(text.map(|text| storable(&text).into_owned())),
        Value::Integer(integer) => values.push_bind(integer),
        Value::Real(real) => values.push_bind(real),
        Value::Flag(flag) => values.push_bind(flag),
        Value::Bytes(bytes) => values.push_bind(bytes),
        Value::Job(job) => values.push_bind(Uuid::from(job)),
    };
}

/// What PostgreSQL keeps of a job's needs besides, for lists; `None` in any other table.
fn models_of(table: &Table, row: &Row) -> Outcomes<Option<Vec<String>>> {
    let Some(at) = table.columns.iter().position(|(name, _)| *name == "needs") else { return Ok(None) };
    let Some(Value::Text(Some(needs))) = row.get(at) else { return Ok(Some(Vec::new())) };
    let needs: Needs = serde_json::from_str(needs).map_err(|e| damaged("needs")(e.to_string()))?;
    Ok(Some(needs.assets.iter().map(|asset| storable(&asset.name).into_owned()).collect()))
}
