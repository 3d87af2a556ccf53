//! Whole databases: looked through, backed up, carried over.

use std::path::Path;
use std::sync::Arc;

use collector::id::JobId;
use collector::job::{Job, Outcome};
use collector::queue::whole::{Place, backup, check, migrate};
use collector::queue::{Held, Page, Sqlite, Store, Upload};
use comfyui::api::FileRef;
use futures_util::FutureExt;

use super::conformance::{change, dispatch, end, submit};
use super::opening::Test;
use super::places::OnServer;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |place| $name(place).boxed_local())),*] };
}

pub(crate) const TESTS: &[(&str, Test)] = tests!(
    all_is_carried_over_and_a_backup_of_it_is_the_same,
    a_backup_is_made_while_a_collector_works_on_it,
    what_is_carried_over_comes_into_an_empty_database,
    a_database_of_which_something_is_missing_is_told_as_broken,
);

/// Everything that a store tells.
#[derive(Debug, PartialEq)]
struct Told {
    live: Vec<Job>,
    ended: Vec<String>,
    attempts: Vec<String>,
    uploads: Vec<Upload>,
    setting: String,
    held: Held,
}

async fn told(store: &dyn Store) -> Told {
    let ended = store.history(Page::default()).await.unwrap();
    let mut attempts = Vec::new();
    let ids: Vec<JobId> = ended.iter().map(|job| job.id).collect();
    for id in ids {
        attempts.push(format!("{:?}", (store.attempts(id).await.unwrap(), store.listed(id).await.unwrap())));
    }
    Told {
        live: store.live().await.unwrap(),
        ended: ended.iter().map(|job| format!("{job:?}")).collect(),
        attempts,
        uploads: store.uploads().await.unwrap(),
        setting: store.setting("fleet", "new".to_owned()).await.unwrap(),
        held: store.held().await.unwrap(),
    }
}

/// A job that waits, one with a backend, two that ended, an upload and a setting.
async fn fill(store: &Arc<dyn Store>) {
    submit(store).await;
    let sent = submit(store).await;
    change(store, &sent, dispatch(&sent)).await;
    for outcome in [Outcome::Succeeded, Outcome::Failed] {
        let job = submit(store).await;
        let job = change(store, &job, dispatch(&job)).await;
        end(store, &job, 9, outcome).await;
    }
    let file = FileRef { filename: "a.png".into(), subfolder: "x".into(), kind: "input".into() };
    store.keep_upload(&Upload { file, sha256: [5; 32], size_bytes: 5 }).await.unwrap();
    store.keep_setting("fleet", "kept").await.unwrap();
}

async fn filled(directory: &Path) -> Told {
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(directory).await.unwrap());
    fill(&store).await;
    told(store.as_ref()).await
}

fn server(place: &OnServer) -> Place {
    Place::Server { url: place.url.clone(), password: None }
}

async fn all_is_carried_over_and_a_backup_of_it_is_the_same(place: &OnServer) {
    let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = filled(source.path()).await;
    let from = Place::Directory(source.path().to_owned());
    let copied = migrate(&from, &server(place)).await.unwrap();
    assert!(copied.rows.contains(&("job", 4)) && copied.rows.contains(&("attempt", 3)), "{copied:?}");
    let store: Arc<dyn Store> = Arc::new(place.try_open(&place.url, None).await.unwrap());
    assert_eq!(told(store.as_ref()).await, before);
    assert_eq!(submit(&store).await.place.arrival, 5, "numbers go on");
    let before = told(store.as_ref()).await;
    backup(&server(place), copy.path()).await.unwrap();
    assert_eq!(told(&Sqlite::open(copy.path()).await.unwrap()).await, before);
    let findings = check(&server(place)).await.unwrap();
    assert_eq!((findings.waiting, findings.dispatched, findings.ended), (2, 1, 2));
    assert!(findings.problems.is_empty(), "{findings:?}");
}

async fn a_backup_is_made_while_a_collector_works_on_it(_: &OnServer) {
    let (source, copy) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let store: Arc<dyn Store> = Arc::new(Sqlite::open(source.path()).await.unwrap());
    fill(&store).await;
    let from = Place::Directory(source.path().to_owned());
    backup(&from, copy.path()).await.unwrap();
    assert_eq!(told(&Sqlite::open(copy.path()).await.unwrap()).await, told(store.as_ref()).await);
    let again = backup(&from, copy.path()).await.unwrap_err().to_string();
    assert!(again.contains("files in it already"), "{again}");
    // Nothing but a copy: carrying over takes the database for itself.
    let refused = migrate(&from, &Place::Directory(copy.path().join("new"))).await.unwrap_err().to_string();
    assert!(refused.contains("in use by another orchestrator-collector"), "{refused}");
}

async fn what_is_carried_over_comes_into_an_empty_database(place: &OnServer) {
    let source = tempfile::tempdir().unwrap();
    filled(source.path()).await;
    let store: Arc<dyn Store> = Arc::new(place.try_open(&place.url, None).await.unwrap());
    submit(&store).await;
    drop(store);
    let refused = migrate(&Place::Directory(source.path().to_owned()), &server(place)).await;
    assert!(refused.unwrap_err().to_string().contains("it holds 1 jobs"));
}

async fn a_database_of_which_something_is_missing_is_told_as_broken(place: &OnServer) {
    let store: Arc<dyn Store> = Arc::new(place.try_open(&place.url, None).await.unwrap());
    fill(&store).await;
    place.sql("DELETE FROM document WHERE job_id = (SELECT id FROM job WHERE state = 'waiting'); DELETE FROM attempt");
    let problems = check(&server(place)).await.unwrap().problems;
    assert_eq!(problems, ["1 jobs without their prompt", "1 jobs with a backend that no attempt tells of"]);
}
