//! Nothing that was accepted is lost: the real program, and its database, killed again and again under the load of twenty
//! clients, and hosts cut off from each other.
//!
//! `ORCHESTRATOR_TEST_KILLS` says how often, each; 20 where it is not set. `ORCHESTRATOR_TEST_CUTS`, which take longer: 2. The
//! counts are printed.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking, in its own functions too"
)]

mod bucket;
#[allow(dead_code, reason = "shared with another test, which uses the rest")]
#[path = "../fleet/client.rs"]
mod client;
mod count;
mod cut;
mod hosts;
mod listener;
mod load;
mod pair;
#[allow(dead_code, reason = "shared with another test, which uses the rest")]
#[path = "../fleet/program.rs"]
mod program;
#[path = "../store/proxy.rs"]
mod proxy;
#[allow(dead_code, reason = "shared with another test, which uses the rest")]
#[path = "../fleet/socket.rs"]
mod socket;
mod spans;
mod stage;
#[path = "../fleet/wait.rs"]
mod wait;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use sim::outside::{Found, Outside, trial};
use sim::postgres::{Cluster, ClusterConfig};

use self::bucket::Bucket;
use self::cut::Site;
use self::hosts::Hosts;
use self::stage::Stage;

fn main() -> ExitCode {
    hosts::begin_apart();
    let mut arguments = Arguments::from_args();
    // Most of their time is spent waiting.
    arguments.test_threads = Some(3);
    let killed = Trial::test("sqlite::every_job_ends_once_however_often_the_collector_is_killed", || {
        run(async { Stage::on_sqlite().await.kill_the_collector(kills()).await });
        Ok(())
    });
    let killed_on_server = on_server(
        "postgres::every_job_ends_once_however_often_the_collector_is_killed",
        |cluster| async move {
            Stage::on(&cluster).await.kill_the_collector(kills()).await;
        },
    );
    let leader_killed = on_server(
        "postgres::every_job_ends_once_however_often_the_collector_that_leads_is_killed",
        |cluster| async move {
            Stage::kill_the_leader(&cluster, kills()).await;
        },
    );
    let stands_by = on_server(
        "postgres::what_a_collector_that_stands_by_is_asked_the_one_that_leads_answers",
        |cluster| async move {
            Stage::one_stands_by(&cluster).await;
        },
    );
    let with_bucket = trial(
        "postgres::collectors_may_share_a_bucket_for_files_instead_of_a_directory",
        bucket::MOTO,
        |found| {
            let cluster = cluster(&Outside::Postgres.find()?)?;
            let moto = found.program().ok_or("no program")?.to_owned();
            run(async { Stage::one_stands_by_with_a_bucket(&cluster, &Bucket::on(&moto).await).await });
            Ok(())
        },
    );
    let replaced = on_server(
        "postgres::a_collector_that_was_cut_off_and_replaced_stops_by_itself",
        |cluster| async move {
            Stage::one_is_replaced(&cluster).await;
        },
    );
    let server_killed =
        on_server("postgres::every_job_ends_once_however_often_the_server_is_killed", |cluster| async move {
            Stage::on(&cluster).await.kill_the_server(&cluster, kills()).await;
        });
    let stopped_without = on_server(
        "postgres::a_job_that_cannot_be_taken_out_of_the_queue_waits_on_and_who_asked_is_told",
        |cluster| async move {
            Stage::on(&cluster).await.stop_a_job_without_the_server(&cluster).await;
        },
    );
    let answers_lost = on_server(
        "postgres::every_job_ends_once_however_often_the_answer_to_a_commit_is_lost",
        |cluster| async move {
            Stage::lose_answers_of(&cluster, kills()).await;
        },
    );
    let mut trials = vec![
        killed,
        killed_on_server,
        leader_killed,
        stands_by,
        with_bucket,
        replaced,
        server_killed,
        stopped_without,
        answers_lost,
    ];
    trials.extend(cut_off());
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cut_off() -> [Trial; 3] {
    [
        between_hosts(
            "postgres::every_job_ends_once_however_often_the_collector_that_leads_is_cut_off_from_the_database",
            |site| async move { site.leader_from_database(cuts()).await },
        ),
        between_hosts(
            "postgres::every_job_ends_once_however_often_backends_are_cut_off_from_the_collector_that_leads",
            |site| async move { site.backends_from_leader(cuts()).await },
        ),
        between_hosts(
            "postgres::every_job_ends_once_however_often_the_collector_that_stands_by_is_cut_off_from_the_one_that_leads",
            |site| async move { site.standby_from_leader(cuts()).await },
        ),
    ]
}

fn between_hosts<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Site) -> F + Send + 'static) -> Trial {
    if let Some(missing) = hosts::missing() {
        return trial(name, missing, |_| Ok(()));
    }
    trial(name, Outside::Postgres, move |found| {
        let hosts = Hosts::new();
        let cluster = cluster_with(&found, vec![format!("listen_addresses={}", hosts.database)])?;
        run(async { test(Site::of(hosts, &cluster).await).await });
        Ok(())
    })
}

fn on_server<F: Future<Output = ()>>(name: &str, test: impl FnOnce(Cluster) -> F + Send + 'static) -> Trial {
    trial(name, Outside::Postgres, move |found| {
        run(test(cluster(&found)?));
        Ok(())
    })
}

fn cluster(found: &Found) -> Result<Cluster, Failed> {
    cluster_with(found, Vec::new())
}

fn cluster_with(found: &Found, settings: Vec<String>) -> Result<Cluster, Failed> {
    let Found::Folders(folders) = found else { return Err("no folder".into()) };
    Ok(Cluster::start(&folders[0], ClusterConfig { settings, ..ClusterConfig::default() })?)
}

fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(4)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

fn kills() -> usize {
    times("ORCHESTRATOR_TEST_KILLS", 20)
}

fn cuts() -> usize {
    times("ORCHESTRATOR_TEST_CUTS", 2)
}

fn times(variable: &str, unset: usize) -> usize {
    std::env::var(variable).map_or(unset, |times| times.parse().unwrap())
}
