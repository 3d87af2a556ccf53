//! Lists of jobs: filtered, ordered and cut by the database. The page is found by the indexes alone; only its rows are
//! read.

use sqlx::{QueryBuilder, Sqlite as Db};

use super::super::listing::{Filter, Sort, Window};
use crate::job::Standing;

/// `count(*)` of what passes.
pub(super) fn count(filter: &Filter) -> QueryBuilder<Db> {
    let mut query = QueryBuilder::new("SELECT count(*) FROM job WHERE true");
    narrow(&mut query, filter);
    query
}

pub(super) const ONE: &str = "SELECT job.*, CASE outcome WHEN 'failed' THEN result.status END AS status \
                              FROM job LEFT JOIN result ON result.job_id = job.id WHERE job.id = ?";

/// The jobs of one page, with the status of failed ones.
pub(super) fn page(filter: &Filter, window: &Window) -> QueryBuilder<Db> {
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

fn narrow(query: &mut QueryBuilder<Db>, filter: &Filter) {
    if let Some(standings) = &filter.standings {
        let names: Vec<&str> = standings.iter().copied().map(Standing::as_str).collect();
        let names = serde_json::Value::from(names).to_string();
        query.push(" AND standing IN (SELECT value FROM json_each(").push_bind(names).push("))");
    }
    let texts = [
        (" AND workflow_id = ", filter.workflow_id.as_deref()),
        (" AND client_id = ", filter.client.as_ref().map(|client| client.as_str())),
        (" AND last_backend = ", filter.backend.as_ref().map(|backend| backend.as_str())),
    ];
    for (condition, value) in texts {
        if let Some(value) = value {
            query.push(condition).push_bind(value.to_owned());
        }
    }
    if let Some(model) = &filter.model {
        query.push(" AND EXISTS (SELECT 1 FROM json_each(needs, '$.assets') AS asset WHERE asset.value ->> 'name' = ");
        query.push_bind(model.clone()).push(")");
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

#[cfg(test)]
mod tests {
    use sqlx::Row;

    use super::super::super::Cursor;
    use super::super::Sqlite;
    use super::*;
    use crate::clock::UnixMillis;
    use crate::job::Outcome;

    async fn plan(store: &Sqlite, query: QueryBuilder<Db>) -> String {
        let mut explained = QueryBuilder::<Db>::new("EXPLAIN QUERY PLAN ");
        explained.push(query.into_string());
        let steps = explained.build().fetch_all(&store.readers).await.unwrap();
        steps.iter().map(|step| step.get::<String, _>("detail") + "\n").collect()
    }

    #[tokio::test]
    async fn pages_and_counts_are_found_by_indexes() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path()).await.unwrap();
        let newest = Window { sort: Sort::Submitted, ascending: false, before: None, limit: 64, offset: 0 };
        let longest = Window { sort: Sort::Duration, ..newest };
        let before = Some(Cursor { submitted_at: UnixMillis(1), arrival: 1 });
        let ended =
            Filter { standings: Some(vec![Standing::Ended(Outcome::Succeeded)]), ..Filter::default() };
        let of_workflow = Filter { workflow_id: Some("w".to_owned()), ..Filter::default() };
        for (query, index) in [
            (page(&ended, &newest), "INDEX job_standing"),
            (page(&ended, &longest), "INDEX job_standing"),
            (count(&ended), "INDEX job_standing"),
            (page(&Filter::default(), &newest), "INDEX job_created"),
            (page(&Filter::default(), &Window { before, ..newest }), "INDEX job_created"),
            (page(&of_workflow, &newest), "INDEX job_workflow"),
            (count(&of_workflow), "INDEX job_workflow"),
        ] {
            let plan = plan(&store, query).await;
            assert!(plan.contains(index), "{plan}");
        }
    }
}
