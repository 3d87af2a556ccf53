//! Two collectors at one database, of which the one that leads is killed again and again.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Instant;

use sim::postgres::Cluster;
use tokio::net::TcpSocket;

use super::bucket::Bucket;
use super::client::view_of;
use super::count::Counts;
use super::load::{Load, prompt};
use super::program::Program;
use super::spans::Spans;
use super::stage::{Stage, some_work};
use super::wait::until;

/// One of the two: an address that is its own, whether it runs or not.
struct Place {
    name: &'static str,
    address: SocketAddr,
    // Bound and never listening: nobody else gets the port meanwhile.
    _reserved: TcpSocket,
}

impl Place {
    fn new(name: &'static str) -> Self {
        let reserved = TcpSocket::new_v4().unwrap();
        reserved.set_reuseaddr(true).unwrap();
        reserved.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        Self { name, address: reserved.local_addr().unwrap(), _reserved: reserved }
    }

    async fn start(&self, stage: &Stage) -> Program {
        let text = stage.configuration_at(self.address);
        Program::with(&text, &stage.state.path().join(self.name), &stage.variables).await
    }
}

impl Stage {
    /// For several collectors.
    async fn shared(cluster: &Cluster, database: &str) -> Self {
        let url = cluster.database(database).unwrap();
        Self::of(&format!("database = '{url}'\n")).await.with_shared_directory()
    }

    async fn shared_by_bucket(cluster: &Cluster, bucket: &Bucket) -> Self {
        let url = cluster.database("pair").unwrap();
        let stage = Self::of(&format!("archive = true\ndatabase = '{url}'\n{}", bucket.line())).await;
        Self { variables: bucket.variables(), ..stage }
    }

    pub(crate) async fn one_stands_by(cluster: &Cluster) {
        Self::shared(cluster, "pair").await.serve_by_both().await;
    }

    pub(crate) async fn one_stands_by_with_a_bucket(cluster: &Cluster, bucket: &Bucket) {
        Self::shared_by_bucket(cluster, bucket).await.serve_by_both().await;
        let archived = async || {
            let keys = bucket.keys().await;
            keys.iter().any(|key| key.contains("/outputs/")).then_some(keys)
        };
        let keys = until("the picture is archived", archived).await;
        let of =
            |folder: &str| keys.iter().filter(|key| key.starts_with(&format!("of/one/{folder}/"))).count();
        assert_eq!((of("uploads"), of("outputs"), keys.len()), (2, 1, 3), "{keys:?}");
    }

    /// What is asked of the one that stands by the other answers; and it takes over where the other stops in good order.
    async fn serve_by_both(self) {
        let stage = self;
        let places = [Place::new("one"), Place::new("other")];
        let (leader, standby) = (places[0].start(&stage).await, places[1].start(&stage).await);
        let client = &standby.client;
        assert_eq!(client.text("/-/ready").await, "standing by\n");
        let leading = async |program: &Program| {
            let text = program.client.text("/metrics").await;
            let line = text.lines().find_map(|line| line.strip_prefix("orchestrator_collector_leader "));
            line.map(str::to_owned)
        };
        assert_eq!((leading(&leader).await, leading(&standby).await), (Some("1".into()), Some("0".into())));
        // More than is kept to be sent once more.
        let large = vec![7; 20 << 20];
        for (name, content) in [("small.bin", b"abc".to_vec()), ("large.bin", large)] {
            assert_eq!(client.upload(name, content.clone(), &[("type", "input")]).await.0, 200);
            let path = format!("/view?filename={name}&type=input");
            assert!(client.bytes(&path).await == content, "{name}");
        }
        assert_eq!(client.ask("/no/such/path").await.0, 404);
        let id = client.submit(&prompt(&uuid::Uuid::new_v4().to_string())).await;
        let picture = view_of(&client.succeeded(&id).await["outputs"]["9"]["images"][0]);
        let made = client.bytes(&picture).await;
        assert_eq!(leader.stop().await, 0);
        // Asked at once it waits for somebody to lead, and then that is itself.
        assert_eq!(client.bytes("/view?filename=small.bin&type=input").await, b"abc");
        assert!(client.bytes(&picture).await == made);
        assert_eq!(leading(&standby).await, Some("1".into()));
        assert_eq!(standby.stop().await, 0);
    }

    /// One that had nothing to do when its connections were cut, and hears of it late, stops: the other has taken over.
    pub(crate) async fn one_is_replaced(cluster: &Cluster) {
        const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                           WHERE datname = 'cut' AND pid <> pg_backend_pid()";
        let stage = Self::shared(cluster, "cut").await;
        let places = [Place::new("one"), Place::new("other")];
        let (leader, standby) = (places[0].start(&stage).await, places[1].start(&stage).await);
        // Or it would be there again before the other has looked.
        leader.signal("-STOP");
        cluster.run_sql("cut", CUT).unwrap();
        until("the other one takes over", async || leads(&standby).then_some(())).await;
        leader.signal("-CONT");
        assert_eq!(leader.ended().await, 1);
        let load = Load::start(standby.client.url.clone());
        some_work(&load, 20..21).await;
        Counts::of(1, &load.finish().await, &stage.comfys).are_as_they_must_be();
    }

    /// Under the load of clients that ask the one that stands by.
    pub(crate) async fn kill_the_leader(cluster: &Cluster, kills: usize) {
        let stage = Self::shared(cluster, "fleet").await;
        let places = [Place::new("one"), Place::new("other")];
        let mut leader = places[0].start(&stage).await;
        let mut standby = places[1].start(&stage).await;
        assert!(!leads(&standby));
        let load = Load::start(standby.client.url.clone());
        let mut took = Spans::default();
        for kill in 0..kills {
            some_work(&load, 1..10).await;
            leader.kill();
            let began = Instant::now();
            until("the other one takes over", async || leads(&standby).then_some(())).await;
            took.0.push(began.elapsed());
            (leader, standby) = (standby, places[kill % 2].start(&stage).await);
            load.address.send_replace(standby.client.url.clone());
        }
        some_work(&load, 20..21).await;
        let counts = Counts::of(kills, &load.finish().await, &stage.comfys);
        println!("take-over: {took}");
        counts.are_as_they_must_be();
        assert_eq!([standby.stop().await, leader.stop().await], [0, 0]);
    }
}

pub(crate) fn leads(program: &Program) -> bool {
    program.lines().iter().any(|line| line.contains("listening on "))
}
