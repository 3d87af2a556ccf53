//! What a PostgreSQL database is refused for, and in which words.

use collector::queue::{Sqlite, StoreError};
use futures_util::FutureExt;
use futures_util::future::LocalBoxFuture;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::places::OnServer;

pub(crate) type Test = for<'a> fn(&'a OnServer) -> LocalBoxFuture<'a, ()>;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |place| $name(place).boxed_local())),*] };
}

pub(crate) const TESTS: &[(&str, Test)] = tests!(
    a_server_that_is_not_there_is_told,
    a_database_that_is_not_there_is_told,
    a_wrong_password_is_told_and_a_right_one_opens,
    a_database_of_another_program_is_refused_and_left_as_it_is,
    what_extensions_made_is_no_other_program,
    a_database_that_a_newer_program_wrote_is_refused,
    a_database_of_another_encoding_is_refused,
    a_user_that_may_not_create_tables_is_told,
    a_second_collector_is_refused_until_the_first_has_gone,
    both_schemas_have_the_same_columns,
);

async fn refusal(place: &OnServer, url: &url::Url) -> String {
    match place.try_open(url, None).await {
        Ok(_) => panic!("it was opened"),
        Err(error) => error.to_string(),
    }
}

#[track_caller]
fn says(said: &str, wanted: &[&str]) {
    assert!(wanted.iter().all(|part| said.contains(part)), "{wanted:?} in {said}");
}

async fn a_server_that_is_not_there_is_told(place: &OnServer) {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let said = refusal(place, &format!("postgres://x@{nobody}/fleet?sslmode=disable").parse().unwrap()).await;
    says(
        &said,
        &[&format!("postgres://x@{nobody}/fleet"), "onnection refused", "see that the server runs there"],
    );
}

async fn a_database_that_is_not_there_is_told(place: &OnServer) {
    let said = refusal(place, &place.cluster.url("nowhere").parse().unwrap()).await;
    says(&said, &["database \"nowhere\" does not exist", "createdb"]);
}

async fn a_wrong_password_is_told_and_a_right_one_opens(place: &OnServer) {
    place.sql("CREATE ROLE guarded LOGIN PASSWORD 'right'; ALTER SCHEMA public OWNER TO guarded");
    let url = place.url.as_str().replace("orchestrator@", "guarded@").parse().unwrap();
    let error = place.try_open(&url, Some("hunter2")).await.err().unwrap().to_string();
    says(&error, &["guarded@", "password authentication failed", "ORCHESTRATOR_COLLECTOR_DATABASE_PASSWORD"]);
    assert!(!error.contains("hunter2"), "{error}");
    // A program that another test is starting meanwhile shares the first one's lock for a moment.
    while let Err(error) = place.try_open(&url, Some("right")).await {
        assert!(matches!(error, StoreError::InUse { .. }), "{error}");
        tokio::task::yield_now().await;
    }
}

async fn a_database_of_another_program_is_refused_and_left_as_it_is(place: &OnServer) {
    place.sql("CREATE TABLE job (id int); CREATE TABLE _sqlx_migrations (version bigint)");
    let said = refusal(place, &place.url).await;
    says(&said, &["is no database of orchestrator-collector", "2 tables", "schema public", "--database"]);
    let tables =
        "SELECT string_agg(tablename, ' ' ORDER BY tablename) FROM pg_tables WHERE schemaname = 'public'";
    assert_eq!(place.sql(tables), "_sqlx_migrations job");
    // In a schema of its own it does no harm.
    place.sql("CREATE SCHEMA fleet");
    let mut url = place.url.clone();
    url.set_query(Some("options[search_path]=fleet"));
    place.try_open(&url, None).await.unwrap();
    assert_eq!(place.sql("SELECT count(*) FROM fleet.job"), "0");
}

async fn what_extensions_made_is_no_other_program(place: &OnServer) {
    // A table and nothing else that belongs to an extension.
    place.sql("CREATE TABLE made (x int); ALTER EXTENSION plpgsql ADD TABLE made");
    place.try_open(&place.url, None).await.unwrap();
}

async fn a_database_that_a_newer_program_wrote_is_refused(place: &OnServer) {
    drop(place.try_open(&place.url, None).await.unwrap());
    place.sql(
        "INSERT INTO orchestrator_migrations SELECT 9999, description, installed_on, success, checksum, execution_time \
         FROM orchestrator_migrations LIMIT 1",
    );
    says(&refusal(place, &place.url).await, &["written by a newer orchestrator-collector"]);
}

async fn a_database_of_another_encoding_is_refused(place: &OnServer) {
    place.sql("CREATE DATABASE latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0");
    let said = refusal(place, &place.cluster.url("latin1").parse().unwrap()).await;
    says(&said, &["LATIN1", "--encoding=UTF8"]);
}

async fn a_user_that_may_not_create_tables_is_told(place: &OnServer) {
    place.sql("CREATE ROLE poor LOGIN");
    let url = place.url.as_str().replace("orchestrator@", "poor@").parse().unwrap();
    says(&refusal(place, &url).await, &["permission denied", "grant this user CREATE on the schema"]);
}

async fn a_second_collector_is_refused_until_the_first_has_gone(place: &OnServer) {
    let first = place.try_open(&place.url, None).await.unwrap();
    let elsewhere = tempfile::tempdir().unwrap();
    let second = collector::queue::Postgres::open(&place.url, None, elsewhere.path()).await;
    says(&second.err().unwrap().to_string(), &["another orchestrator-collector works on it"]);
    let same = place.try_open(&place.url, None).await.err().unwrap();
    assert!(matches!(same, StoreError::InUse { ref path } if path == place.directory()), "{same}");
    drop(first);
    place.try_open(&place.url, None).await.unwrap();
}

/// A column that one store lacks is one that it forgets.
async fn both_schemas_have_the_same_columns(place: &OnServer) {
    place.try_open(&place.url, None).await.unwrap();
    let ours = place.sql(
        "SELECT table_name || '.' || column_name FROM information_schema.columns WHERE table_schema = 'public' \
         AND table_name <> 'orchestrator_migrations' ORDER BY 1",
    );
    let directory = tempfile::tempdir().unwrap();
    Sqlite::open(directory.path()).await.unwrap();
    let path = directory.path().join("collector.sqlite");
    let mut db = SqliteConnectOptions::new().filename(path).connect().await.unwrap();
    let columns = "SELECT m.name || '.' || c.name FROM sqlite_schema AS m, pragma_table_xinfo(m.name) AS c \
                   WHERE m.type = 'table' AND m.name NOT IN ('_sqlx_migrations', 'sqlite_sequence') ORDER BY 1";
    let theirs: Vec<String> = sqlx::query_scalar(columns).fetch_all(&mut db).await.unwrap();
    let ours: Vec<&str> = ours.lines().filter(|column| *column != "job.models").collect();
    assert_eq!(ours, theirs);
}
