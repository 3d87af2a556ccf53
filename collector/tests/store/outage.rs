//! A server that goes away: what is refused, in which words, and that all goes on by itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use collector::clock::Clock;
use collector::job::Standing;
use collector::metrics::Metrics;
use collector::queue::{Postgres, Queue, Retention, Store, SubmitError};
use futures_util::FutureExt;
use sim::postgres::{Cluster, ClusterConfig};
use tokio_util::sync::CancellationToken;

use super::conformance::submission;
use super::opening::Test;
use super::places::OnServer;
use super::proxy::Proxy;

macro_rules! tests {
    ($($name:ident),* $(,)?) => { &[$((stringify!($name), |place| $name(place).boxed_local())),*] };
}

pub(crate) const TESTS: &[(&str, Test)] =
    tests!(a_commit_whose_answer_is_lost_is_found_again, a_server_that_is_gone_refuses_jobs_and_loses_none,);

async fn queue(store: Arc<dyn Store>) -> Queue {
    let (retention, metrics) =
        (Retention { jobs: 10, age: None, bytes: 1 << 20 }, Arc::new(Metrics::new().unwrap()));
    Queue::open(
        store,
        retention,
        collector::queue::Wanted::None,
        Clock::start(),
        metrics,
        CancellationToken::new(),
    )
    .await
    .unwrap()
}

async fn a_commit_whose_answer_is_lost_is_found_again(place: &OnServer) {
    let proxy = Proxy::before(place.cluster.directory().join(".s.PGSQL.5432")).await;
    let url = format!("postgres://orchestrator@127.0.0.1:{}/{}?sslmode=disable", proxy.port, place.name);
    let store: Arc<dyn Store> = Arc::new(place.try_open(&url.parse().unwrap(), None).await.unwrap());
    let queue = queue(Arc::clone(&store)).await;
    let mut watched = queue.changes();
    queue.submit(submission()).await.unwrap();
    proxy.lose_an_answer();
    let accepted = submission();
    let place = queue.submit(accepted.clone()).await.unwrap();
    assert!(proxy.has_lost_it());
    assert_eq!(queue.snapshot().get(accepted.id).unwrap().place, place);
    assert_eq!(store.live().await.unwrap().len(), 2);
    let told = [watched.recv().await.unwrap(), watched.recv().await.unwrap()];
    assert_eq!((told[1].job, told[1].state), (accepted.id, Standing::Waiting));
    queue.submit(submission()).await.unwrap();
}

async fn a_server_that_is_gone_refuses_jobs_and_loses_none(place: &OnServer) {
    // One of its own: others use the tests' own meanwhile.
    let cluster = Cluster::start(place.cluster.programs(), ClusterConfig::default()).unwrap();
    let url = cluster.database("fleet").unwrap().parse().unwrap();
    let store: Arc<dyn Store> = Arc::new(Postgres::open(&url, None, place.directory()).await.unwrap());
    let queue = queue(Arc::clone(&store)).await;
    queue.submit(submission()).await.unwrap();
    for end in [Cluster::stop, Cluster::kill] {
        end(&cluster).unwrap();
        let began = Instant::now();
        let refusals =
            [queue.submit(submission()).await, queue.submit(submission()).await].map(Result::unwrap_err);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        for refusal in &refusals {
            assert!(matches!(refusal, SubmitError::Store(_)), "{refusal}");
        }
        assert!(refusals[1].to_string().contains("see that the server runs there"), "{}", refusals[1]);
        assert!(store.live().await.is_err());
        assert_eq!(queue.snapshot().len(), 1, "what was accepted is still known");
        cluster.start_again().unwrap();
        assert_eq!(store.live().await.unwrap().len(), 1);
    }
    queue.submit(submission()).await.unwrap();
    assert_eq!((store.live().await.unwrap().len(), queue.snapshot().len()), (2, 2));
}
