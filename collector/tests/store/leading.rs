//! Several collectors at one database: one works on it, the others wait for it.

use std::sync::Arc;

use collector::queue::{Candidate, Postgres, Seen, Store, StoreError, Upload, Write};
use comfyui::api::FileRef;
use futures_util::FutureExt;
use tokio_util::sync::CancellationToken;
use url::Url;

use super::conformance::submission;
use super::opening::Test;
use super::places::OnServer;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |place| $name(place).boxed_local())),*] };
}

pub(crate) const TESTS: &[(&str, Test)] = tests!(
    one_works_on_the_database_and_the_others_are_told_where_it_is,
    one_that_was_cut_off_goes_on_unless_another_has_taken_over,
    one_that_waits_changes_nothing,
);

fn candidate(place: &OnServer, name: &str) -> (Candidate, CancellationToken) {
    let deposed = CancellationToken::new();
    let candidate = Candidate::new(&place.url, None, Some(address(name)), deposed.clone()).unwrap();
    (candidate, deposed)
}

fn address(name: &str) -> Url {
    format!("http://{name}:8288").parse().unwrap()
}

async fn leads(candidate: &mut Candidate) -> Arc<Postgres> {
    match candidate.look().await.unwrap() {
        Seen::Free(store) => Arc::from(store),
        Seen::Led(by) => panic!("it is led by {by:?}"),
    }
}

async fn led_by(candidate: &mut Candidate) -> Option<Url> {
    match candidate.look().await.unwrap() {
        Seen::Free(_) => panic!("it is free"),
        Seen::Led(by) => by.map(|leader| leader.url),
    }
}

async fn submit(store: &Postgres) -> Result<(), StoreError> {
    store.commit(&[Write::Submit(Box::new(submission()))]).await.map(drop)
}

/// What the network or the server may do to connections at any time.
fn cut_all_connections(place: &OnServer) {
    place.sql(
        "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity \
         WHERE datname = current_database() AND pid <> pg_backend_pid()",
    );
}

async fn one_works_on_the_database_and_the_others_are_told_where_it_is(place: &OnServer) {
    let ((mut a, _), (mut b, _), (mut c, _)) =
        (candidate(place, "a"), candidate(place, "b"), candidate(place, "c"));
    let store = leads(&mut a).await;
    assert_eq!((led_by(&mut b).await, led_by(&mut c).await), (Some(address("a")), Some(address("a"))));
    submit(&store).await.unwrap();
    drop(store);
    // The server sees that its connection has gone when it does.
    let store = loop {
        if let Seen::Free(store) = b.look().await.unwrap() {
            break store;
        }
        tokio::task::yield_now().await;
    };
    assert_eq!((store.live().await.unwrap().len(), led_by(&mut c).await), (1, Some(address("b"))));
    let alone = place.try_open(&place.url, None).await.err().unwrap().to_string();
    assert!(alone.contains("stop that one first") && alone.contains("--peer-url"), "{alone}");
}

async fn one_that_was_cut_off_goes_on_unless_another_has_taken_over(place: &OnServer) {
    let ((mut a, deposed), (mut b, _)) = (candidate(place, "a"), candidate(place, "b"));
    let store = leads(&mut a).await;
    cut_all_connections(place);
    while let Err(error) = submit(&store).await {
        assert!(!matches!(error, StoreError::Deposed), "nobody has taken over");
    }
    assert!(!deposed.is_cancelled());
    cut_all_connections(place);
    let new = leads(&mut b).await;
    let refused = loop {
        match submit(&store).await {
            Ok(()) => panic!("it was written by one that does not lead"),
            Err(error @ StoreError::Deposed) => break error,
            // What it had before was cut.
            Err(_) => {}
        }
    };
    assert!(refused.to_string().contains("has taken over") && deposed.is_cancelled(), "{refused}");
    let file = FileRef { filename: "x".into(), subfolder: String::new(), kind: "input".into() };
    let upload = Upload { file, sha256: [7; 32], size_bytes: 1 };
    for late in
        [store.confirm().await, store.keep_upload(&upload).await, store.keep_setting("k", "late").await]
    {
        assert!(matches!(late, Err(StoreError::Deposed)), "{late:?}");
    }
    // Even when that one has gone meanwhile: it may have done anything.
    submit(&new).await.unwrap();
    drop(new);
    cut_all_connections(place);
    assert!(matches!(submit(&store).await, Err(StoreError::Deposed)));
}

async fn one_that_waits_changes_nothing(place: &OnServer) {
    let (mut a, _) = candidate(place, "a");
    let store = leads(&mut a).await;
    // As if the one that leads were of an earlier version, whose tables a newer one would change.
    place.sql("DELETE FROM orchestrator_migrations");
    assert_eq!(led_by(&mut candidate(place, "b").0).await, Some(address("a")));
    assert_eq!(place.sql("SELECT count(*) FROM orchestrator_migrations"), "0");
    submit(&store).await.unwrap();
}
