//! Lists of jobs: filtered, ordered and cut by the database, whichever it is. The page is found by the indexes alone;
//! only its rows are read.

use sqlx::{Database, Encode, Postgres, QueryBuilder, Sqlite, Type};

use super::listing::{Filter, Sort, Window};
use super::postgres::storable;
use crate::job::Standing;

/// In what the databases differ.
pub(super) trait Dialect: Database + Sized {
    /// A text as it was kept.
    fn kept(text: &str) -> String;
    fn push_standings(query: &mut QueryBuilder<Self>, names: Vec<&'static str>);
    fn push_model(query: &mut QueryBuilder<Self>, model: &str);
}

impl Dialect for Sqlite {
    fn kept(text: &str) -> String {
        text.to_owned()
    }

    fn push_standings(query: &mut QueryBuilder<Self>, names: Vec<&'static str>) {
        let names = serde_json::Value::from(names).to_string();
        query.push(" AND standing IN (SELECT value FROM json_each(").push_bind(names).push("))");
    }

    fn push_model(query: &mut QueryBuilder<Self>, model: &str) {
        query.push(" AND EXISTS (SELECT 1 FROM json_each(needs, '$.assets') AS asset WHERE asset.value ->> 'name' = ");
        query.push_bind(model.to_owned()).push(")");
    }
}

impl Dialect for Postgres {
    fn kept(text: &str) -> String {
        storable(text).into_owned()
    }

    fn push_standings(query: &mut QueryBuilder<Self>, names: Vec<&'static str>) {
        query.push(" AND standing = ANY (").push_bind(names).push(")");
    }

    fn push_model(query: &mut QueryBuilder<Self>, model: &str) {
        query.push(" AND ").push_bind(Self::kept(model)).push(" = ANY (models)");
    }
}

/// `count(*)` of what passes.
pub(super) fn count<DB: Dialect>(filter: &Filter) -> QueryBuilder<DB>
where
    String: Type<DB> + for<'q> Encode<'q, DB>,
{
    let mut query = QueryBuilder::new("SELECT count(*) AS jobs FROM job WHERE true");
    narrow(&mut query, filter);
    query
}

pub(super) const ONE: &str = "SELECT job.*, CASE outcome WHEN 'failed' THEN result.status END AS status \
                              FROM job LEFT JOIN result ON result.job_id = job.id WHERE job.id = $1";

/// The jobs of one page, with the status of failed ones.
pub(super) fn page<DB: Dialect>(filter: &Filter, window: &Window) -> QueryBuilder<DB>
where
    String: Type<DB> + for<'q> Encode<'q, DB>,
    i64: Type<DB> + for<'q> Encode<'q, DB>,
{
    let mut query = QueryBuilder::new(
        "SELECT job.*, CASE outcome WHEN 'failed' THEN result.status END AS status \
         FROM (SELECT arrival FROM job WHERE true",
    );
    narrow(&mut query, filter);
    if let Some(before) = window.before {
        query.push(" AND (submitted_at, arrival) < (");
        query.push_bind(before.submitted_at.0.cast_signed()).push(", ");
        query.push_bind(before.arrival.cast_signed()).push(")");
    }
    query.push(order(window)).push(" LIMIT ").push_bind(window.limit.min(i64::MAX as u64).cast_signed());
    query.push(" OFFSET ").push_bind(window.offset.min(i64::MAX as u64).cast_signed());
    query.push(") AS page JOIN job USING (arrival) LEFT JOIN result ON result.job_id = job.id");
    query.push(order(window));
    query
}

fn narrow<DB: Dialect>(query: &mut QueryBuilder<DB>, filter: &Filter)
where
    String: Type<DB> + for<'q> Encode<'q, DB>,
{
    if let Some(standings) = &filter.standings {
        DB::push_standings(query, standings.iter().copied().map(Standing::as_str).collect());
    }
    let texts = [
        (" AND workflow_id = ", filter.workflow_id.as_deref()),
        (" AND client_id = ", filter.client.as_ref().map(|client| client.as_str())),
        (" AND last_backend = ", filter.backend.as_ref().map(|backend| backend.as_str())),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(DB::kept(value));
        }
    }
    if let Some(model) = &filter.model {
        DB::push_model(query, model);
    }
}

/// Among equals by arrival, so that pages neither overlap nor leave anything out.
fn order(window: &Window) -> &'static str {
    match (window.sort, window.ascending) {
        (Sort::Submitted, true) => " ORDER BY submitted_at, arrival",
        (Sort::Submitted, false) => " ORDER BY submitted_at DESC, arrival DESC",
        (Sort::Duration, true) => " ORDER BY duration, submitted_at, arrival",
        (Sort::Duration, false) => " ORDER BY duration DESC, submitted_at DESC, arrival DESC",
    }
}
