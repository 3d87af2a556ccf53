//! Where stores lie: a directory each, or a database each of one cluster.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use collector::queue::{Postgres, Sqlite, Store, StoreError};
use sim::outside::Found;
use sim::postgres::{Cluster, ClusterConfig};
use tempfile::TempDir;

use super::conformance::Place;

/// A test on a runtime of its own.
pub(crate) fn run(test: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

pub(crate) struct Directory(pub(crate) TempDir);

#[async_trait::async_trait]
impl Place for Directory {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(Sqlite::open(self.0.path()).await.unwrap())
    }
}

/// A new, empty database of the tests' cluster.
pub(crate) struct OnServer {
    pub(crate) cluster: &'static Cluster,
    pub(crate) name: String,
    pub(crate) url: url::Url,
    directory: TempDir,
}

impl OnServer {
    pub(crate) fn new(found: &Found) -> Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        static DATABASES: AtomicUsize = AtomicUsize::new(0);
        let Found::Folders(folders) = found else { panic!("{found:?}") };
        let cluster = CLUSTER.get_or_init(|| Cluster::start(&folders[0], ClusterConfig::default()).unwrap());
        let name = format!("test{}", DATABASES.fetch_add(1, Ordering::Relaxed));
        let url = cluster.database(&name).unwrap().parse().unwrap();
        Self { cluster, name, url, directory: tempfile::tempdir().unwrap() }
    }

    pub(crate) async fn try_open(
        &self,
        url: &url::Url,
        password: Option<&str>,
    ) -> Result<Postgres, StoreError> {
        Postgres::open(url, password, self.directory.path()).await
    }

    pub(crate) fn sql(&self, sql: &str) -> String {
        self.cluster.run_sql(&self.name, sql).unwrap()
    }

    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

#[async_trait::async_trait]
impl Place for OnServer {
    async fn open(&self) -> Arc<dyn Store> {
        Arc::new(self.try_open(&self.url, None).await.unwrap())
    }
}
