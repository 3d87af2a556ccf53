//! A database that cannot be written: what is refused, in which words, and that all goes on by itself.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::super::{Queue, Retention, Store, SubmitError};
use super::Sqlite;
use crate::clock::{Clock, UnixMillis};
use crate::id::JobId;
use crate::job::Submission;
use crate::metrics::Metrics;

async fn open() -> (tempfile::TempDir, Arc<Sqlite>, Queue) {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(Sqlite::open(directory.path()).await.unwrap());
    let (retention, metrics) =
        (Retention { jobs: 10, age: None, bytes: 1 << 20 }, Arc::new(Metrics::new().unwrap()));
    let shared: Arc<dyn Store> = store.clone();
    let queue = Queue::open(
        shared,
        retention,
        crate::queue::Wanted::None,
        Clock::start(),
        metrics,
        CancellationToken::new(),
    )
    .await
    .unwrap();
    (directory, store, queue)
}

fn submission() -> Submission {
    let prompt = serde_json::Value::from("x".repeat(10_000)).to_string();
    Submission {
        id: JobId::random(),
        id_given: false,
        number: None,
        front: false,
        client_id: None,
        peer: None,
        owner: None,
        max_waiting: None,
        wishes: Default::default(),
        needs: Default::default(),
        prompt: serde_json::from_str(&prompt).unwrap(),
        extra_data: Default::default(),
        partial_execution_targets: None,
        outputs_to_execute: Vec::new(),
        fingerprint: [0; 32],
        submitted_at: UnixMillis(1),
    }
}

async fn pragma(store: &Sqlite, pragma: &'static str) {
    sqlx::query(pragma).execute(&store.writer).await.unwrap();
}

/// The refusal, after as many jobs as there was room for.
async fn until_refused(queue: &Queue) -> (usize, SubmitError) {
    let mut accepted = 0;
    loop {
        match queue.submit(submission()).await {
            Ok(_) => accepted += 1,
            Err(error) => return (accepted, error),
        }
    }
}

#[tokio::test]
async fn a_full_disk_refuses_jobs_until_there_is_room_and_loses_none() {
    let (_directory, store, queue) = open().await;
    pragma(&store, "PRAGMA max_page_count = 200").await;
    let (accepted, error) = until_refused(&queue).await;
    assert!(error.to_string().contains("is full; free some space on its disk"), "{error}");
    assert!(accepted > 2);
    pragma(&store, "PRAGMA max_page_count = 1000000").await;
    queue.submit(submission()).await.unwrap();
    assert_eq!(queue.snapshot().len(), accepted + 1);
    assert_eq!(store.live().await.unwrap().len(), accepted + 1);
}

#[tokio::test]
async fn a_database_that_became_read_only_refuses_jobs_until_it_can_be_written() {
    let (_directory, store, queue) = open().await;
    queue.submit(submission()).await.unwrap();
    pragma(&store, "PRAGMA query_only = ON").await;
    let (_, error) = until_refused(&queue).await;
    assert!(error.to_string().contains("see its permissions"), "{error}");
    pragma(&store, "PRAGMA query_only = OFF").await;
    queue.submit(submission()).await.unwrap();
    assert_eq!(store.live().await.unwrap().len(), 2);
}
