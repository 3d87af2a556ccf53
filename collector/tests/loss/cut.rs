//! Two collectors on hosts of their own, of which cables are pulled again and again, each plugged in again before the next one.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use sim::postgres::Cluster;
use sim::{Comfy, Outcome};

use super::count::{Counts, runs};
use super::hosts::Hosts;
use super::load::{Load, prompt};
use super::pair::leads;
use super::program::{PROGRAM, Program, cleared};
use super::spans::Spans;
use super::stage::{NAMES, Stage, some_work};
use super::wait::until;

/// In a network of its own nobody else has it.
const PORT: u16 = 8288;
const PLACES: [&str; 2] = ["one", "other"];

pub(crate) struct Site {
    hosts: Hosts,
    stage: Stage,
}

impl Site {
    /// Around a cluster that listens at the hosts' address for it.
    pub(crate) async fn of(hosts: Hosts, cluster: &Cluster) -> Self {
        cluster.database("fleet").unwrap();
        let url = format!("postgres://orchestrator@{}:5432/fleet?sslmode=disable", hosts.database);
        let stage = Stage::with_servers_at(hosts.backends, &format!("database = '{url}'\n")).await;
        Self { hosts, stage: stage.with_shared_directory() }
    }

    async fn start(&self, at: usize) -> Program {
        let host = &self.hosts.collectors[at];
        let address = SocketAddr::from((host.address, PORT));
        let text = format!("insecure = true\n{}", self.stage.configuration_at(address));
        let state = self.stage.state.path().join(PLACES[at]);
        Program::by(cleared(host.command(PROGRAM)), &text, &state).await
    }

    async fn start_both(&self) -> [Program; 2] {
        let (leader, standby) = (self.start(0).await, self.start(1).await);
        assert!(leads(&leader) && !leads(&standby));
        [leader, standby]
    }

    /// The other one takes over; the one that was cut off accepts nothing meanwhile, and stops once it hears of it.
    pub(crate) async fn leader_from_database(&self, cuts: usize) {
        let [mut leader, mut standby] = self.start_both().await;
        let load = Load::start(standby.client.url.clone());
        let (mut taken, mut stopped) = (Spans::default(), Spans::default());
        for cut in 0..cuts {
            // Clients of the one that is cut off, and of the other.
            load.address.send_replace([&leader, &standby][cut % 2].client.url.clone());
            some_work(&load, 1..10).await;
            let cable = &self.hosts.collectors[cut % 2].to_database;
            cable.pull();
            let began = Instant::now();
            let taken_over = async {
                until("the other one takes over", async || leads(&standby).then_some(())).await;
                began.elapsed()
            };
            // Once is enough: it is told after the time that a commit may take, and another look at the database.
            let refused = async {
                if cut == 0 {
                    assert_eq!(submit(&leader).await, 503);
                }
            };
            taken.0.push(tokio::join!(taken_over, refused).0);
            load.address.send_replace(standby.client.url.clone());
            cable.plug();
            let began = Instant::now();
            assert_eq!(leader.ended().await, 1);
            stopped.0.push(began.elapsed());
            (leader, standby) = (standby, self.start(cut % 2).await);
        }
        println!("take-over: {taken}; the one that was replaced stops: {stopped}");
        self.end(load, "cuts of the leader from the database", cuts, [standby, leader]).await;
    }

    /// What it runs stays with it, all else goes on, and what became of it is learned afterwards.
    pub(crate) async fn backends_from_leader(&self, cuts: usize) {
        let [leader, standby] = self.start_both().await;
        let load = Load::start(leader.client.url.clone());
        let mut seen = Spans::default();
        for cut in 0..cuts {
            some_work(&load, 20..40).await;
            let comfys = &self.stage.comfys;
            // In the middle of a job until it is seen, and at any instant for a moment.
            let for_long = cut % 2 == 0;
            if for_long {
                comfys.iter().for_each(Comfy::hold);
            }
            let at = one_at_work(comfys).await;
            let cable = &self.hosts.collectors[0].to_backends[at];
            cable.pull();
            comfys.iter().filter(|comfy| comfy.url() != comfys[at].url()).for_each(Comfy::release);
            let began = Instant::now();
            if for_long {
                until("it is seen to be down", async || is_down(&leader, NAMES[at]).await.then_some(()))
                    .await;
                seen.0.push(began.elapsed());
                let doubtful = jobs_on(&leader, NAMES[at]).await;
                assert!(!doubtful.is_empty());
                comfys[at].release();
                some_work(&load, 20..40).await;
                let left = &doubtful - &jobs_on(&leader, NAMES[at]).await;
                assert!(
                    left.iter().all(|job| runs(&comfys[at], job) == 0),
                    "what was sent there stays there"
                );
            }
            tokio::time::sleep(Duration::from_millis(fastrand::u64(0..3000))).await;
            cable.plug();
        }
        println!("seen to be down: {seen}");
        self.end(load, "cuts of a backend from the leader", cuts, [standby, leader]).await;
    }

    /// Its clients are told to ask again; it does not take over, and passes on again once it can.
    pub(crate) async fn standby_from_leader(&self, cuts: usize) {
        let [leader, standby] = self.start_both().await;
        let load = Load::start(standby.client.url.clone());
        let mut refused = Spans::default();
        for _ in 0..cuts {
            some_work(&load, 1..10).await;
            self.hosts.between.pull();
            let began = Instant::now();
            until("it says that it reaches nobody", async || {
                (standby.client.ask("/queue").await.0 == 503).then_some(())
            })
            .await;
            refused.0.push(began.elapsed());
            assert!(!leads(&standby));
            assert_eq!(submit(&leader).await, 200);
            self.hosts.between.plug();
        }
        println!("asked again with 503: {refused}");
        self.end(load, "cuts of the one that stands by from the leader", cuts, [standby, leader]).await;
    }

    async fn end(&self, load: Load, what: &'static str, cuts: usize, programs: [Program; 2]) {
        some_work(&load, 20..21).await;
        Counts::after(what, cuts, &load.finish().await, &self.stage.comfys).are_as_they_must_be();
        for program in programs {
            assert_eq!(program.stop().await, 0);
        }
    }
}

/// Its status.
async fn submit(program: &Program) -> u16 {
    let body = program.client.body(&prompt(&uuid::Uuid::new_v4().to_string()), json!({}));
    program.client.post("/prompt", &body).await.0
}

async fn is_down(leader: &Program, name: &str) -> bool {
    leader.client.get(&format!("/orchestrator/v1/backends/{name}")).await["state"] == "down"
}

/// A backend in the middle of a job, by its place.
async fn one_at_work(comfys: &[Comfy]) -> usize {
    let is_at_work = |comfy: &Comfy| comfy.state().runs.iter().any(|run| run.outcome == Outcome::Running);
    until("a backend runs a job", async || comfys.iter().position(is_at_work)).await
}

/// Jobs that the collector has given to a backend.
async fn jobs_on(leader: &Program, name: &str) -> BTreeSet<String> {
    let page = leader.client.get(&format!("/orchestrator/v1/jobs?state=dispatched&backend={name}")).await;
    page["jobs"].as_array().unwrap().iter().map(|job| job["id"].as_str().unwrap().to_owned()).collect()
}
