//! Servers that outlive everything, a collector that is killed and started again, and what is killed besides.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use serde_json::json;
use sim::postgres::Cluster;
use sim::{Comfy, ComfyConfig, Generation};
use tempfile::TempDir;

use super::count::Counts;
use super::load::{Load, prompt};
use super::program::{Program, configuration};
use super::proxy::Proxy;
use super::wait::until;

/// Backends by their place.
pub(crate) const NAMES: [&str; 4] = ["a", "b", "c", "d"];

const GENERATIONS: [Generation; 4] =
    [Generation::V0_8, Generation::V2024, Generation::V0_8, Generation::V2024];

pub(crate) struct Stage {
    pub(crate) comfys: Vec<Comfy>,
    pub(crate) configuration: String,
    pub(crate) state: TempDir,
    /// Of a collector's environment.
    pub(crate) variables: Vec<(&'static str, String)>,
}

impl Stage {
    pub(crate) async fn on_sqlite() -> Self {
        Self::of("").await
    }

    pub(crate) async fn on(cluster: &Cluster) -> Self {
        let url = cluster.database("fleet").unwrap();
        Self::of(&format!("database = '{url}'\n")).await
    }

    pub(crate) async fn of(database: &str) -> Self {
        Self::with_servers_at([Ipv4Addr::LOCALHOST; 4], database).await
    }

    pub(crate) async fn with_servers_at(addresses: [Ipv4Addr; 4], database: &str) -> Self {
        let mut comfys = Vec::new();
        for (address, generation) in addresses.into_iter().zip(GENERATIONS) {
            let config = ComfyConfig { generation, address, ..ComfyConfig::default() };
            comfys.push(Comfy::start(config).await.unwrap());
        }
        let configuration = format!("{database}history_jobs = 100000\n{}", configuration(&comfys));
        Self { comfys, configuration, state: tempfile::tempdir().unwrap(), variables: Vec::new() }
    }

    /// Files are in a directory that several collectors share.
    pub(crate) fn with_shared_directory(self) -> Self {
        let files = format!("files_directory = '{}'\n", self.state.path().join("files").display());
        Self { configuration: files + &self.configuration, ..self }
    }

    /// For one of several collectors, which is reached there.
    pub(crate) fn configuration_at(&self, address: SocketAddr) -> String {
        let own = format!("listen = '{address}'\npeer_url = 'http://{address}'\n");
        self.configuration.replace("listen = '127.0.0.1:0'\n", &own)
    }

    async fn start(&self) -> Program {
        Program::configured(&self.configuration, self.state.path()).await
    }

    /// At any instant of its work, its start included.
    pub(crate) async fn kill_the_collector(&self, kills: usize) {
        let mut program = self.start().await;
        let load = Load::start(program.client.url.clone());
        for _ in 0..kills {
            some_work(&load, 0..10).await;
            program.kill();
            program = self.start().await;
            load.address.send_replace(program.client.url.clone());
        }
        some_work(&load, 20..21).await;
        Counts::of(kills, &load.finish().await, &self.comfys).are_as_they_must_be();
    }

    /// What was asked of the database is done, and whether it was is not told.
    pub(crate) async fn lose_answers_of(cluster: &Cluster, answers: usize) {
        cluster.database("fleet").unwrap();
        let proxy = Proxy::before(cluster.directory().join(".s.PGSQL.5432")).await;
        let url = format!("postgres://orchestrator@127.0.0.1:{}/fleet?sslmode=disable", proxy.port);
        let stage = Self::of(&format!("database = '{url}'\n")).await;
        let program = stage.start().await;
        let load = Load::start(program.client.url.clone());
        for _ in 0..answers {
            some_work(&load, 1..5).await;
            proxy.lose_an_answer();
            until("an answer is lost", async || proxy.has_lost_it().then_some(())).await;
        }
        some_work(&load, 20..21).await;
        Counts::of(answers, &load.finish().await, &stage.comfys).are_as_they_must_be();
        assert_eq!(program.stop().await, 0);
    }

    /// The database server, under a collector that goes on.
    pub(crate) async fn kill_the_server(&self, cluster: &Cluster, kills: usize) {
        let program = self.start().await;
        let load = Load::start(program.client.url.clone());
        for _ in 0..kills {
            some_work(&load, 1..20).await;
            cluster.kill().unwrap();
            cluster.start_again().unwrap();
        }
        some_work(&load, 20..21).await;
        Counts::of(kills, &load.finish().await, &self.comfys).are_as_they_must_be();
        assert_eq!(program.stop().await, 0);
    }

    /// Whoever asks that a job be stopped hears that this could not be written, and the job waits on.
    pub(crate) async fn stop_a_job_without_the_server(&self, cluster: &Cluster) {
        self.comfys.iter().for_each(Comfy::hold);
        let program = self.start().await;
        for number in 0..=self.comfys.len() {
            let body = program.client.body(&prompt(&format!("{number:08x}")), json!({}));
            until("a job is accepted", async || {
                (program.client.post("/prompt", &body).await.0 == 200).then_some(())
            })
            .await;
        }
        let waiting = async || {
            let (_, page) = program.client.ask("/orchestrator/v1/jobs?state=waiting").await;
            let ids = page["jobs"].as_array()?.iter().map(|job| job["id"].as_str().unwrap().to_owned());
            Some(ids.collect::<Vec<String>>())
        };
        let one = async || waiting().await.filter(|jobs| jobs.len() == 1);
        let id = until("the backends have all but one", one).await.remove(0);
        let remove = json!({ "delete": [id] });
        cluster.kill().unwrap();
        for (path, body) in [
            ("/queue".to_owned(), &remove),
            ("/interrupt".to_owned(), &json!({ "prompt_id": id })),
            (format!("/api/jobs/{id}/cancel"), &json!({})),
        ] {
            let (status, answer) = program.client.post(&path, body).await;
            assert_eq!(status, 503, "{path}: {answer}");
        }
        cluster.start_again().unwrap();
        assert_eq!(until("the database answers again", one).await, std::slice::from_ref(&id));
        until("the job is removed", async || {
            (program.client.post("/queue", &remove).await.0 == 200).then_some(())
        })
        .await;
        until("none waits", async || waiting().await.filter(Vec::is_empty)).await;
        assert_eq!(program.stop().await, 0);
    }
}

/// So many more jobs are accepted, and then a moment passes, so that what follows hits anything.
pub(crate) async fn some_work(load: &Load, jobs: std::ops::Range<u64>) {
    let wanted = load.accepted() + fastrand::u64(jobs);
    until("jobs are accepted", async || (load.accepted() >= wanted).then_some(())).await;
    tokio::time::sleep(Duration::from_millis(fastrand::u64(0..60))).await;
}
