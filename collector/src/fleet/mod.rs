//! The fleet: all backends and what polling tells of them now. A snapshot, published whole by [`owner`]; nobody else
//! changes it. What was not observed is absent, and what was carries the time at which it was.

mod apply;
mod catalog;
pub mod condition;
pub mod figures;
mod health;
pub mod models;
mod order;
pub mod owner;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use comfyui::api::SystemStats;
use url::Url;

pub use self::apply::{Change, apply};
pub use self::catalog::{Catalog, Missing, Union};
pub use self::figures::Figures;
pub use self::health::{Failure, Health, Status};
pub use self::models::Models;
pub use self::order::Order;
use crate::clock::UnixMillis;
use crate::id::{BackendId, Tag};

#[derive(Clone, Debug, Default)]
pub struct Fleet {
    /// In the order of the configuration, then those that were added since.
    pub backends: Vec<Arc<Backend>>,
    /// What the backends offer together.
    pub union: Arc<Union>,
}

/// One ComfyUI server, its agent, and what we last heard of both.
#[derive(Clone, Debug)]
pub struct Backend {
    pub id: BackendId,
    pub url: Url,
    pub agent_url: Url,
    /// What an operator marks it with.
    pub tags: BTreeSet<Tag>,
    /// Since when an operator wants it to get no new job.
    pub draining_since: Option<UnixMillis>,
    pub health: Health,
    /// When our WebSocket to it was opened; `None` while it is closed.
    pub socket_since: Option<UnixMillis>,
    pub backlog: Option<Read<Backlog>>,
    pub stats: Option<Read<Arc<SystemStats>>>,
    pub catalog: Option<Arc<Catalog>>,
    /// Why what it offers cannot be read, while that is so.
    pub catalog_problem: Option<String>,
    /// The model files that it lists.
    pub models: Option<Arc<Models>>,
    /// What its agent said last.
    pub agent: Option<Read<Arc<Figures>>>,
    pub agent_health: Health,
}

/// A reading and when it was made.
#[derive(Clone, Debug, PartialEq)]
pub struct Read<T> {
    pub at: UnixMillis,
    pub value: T,
}

/// A backend's own queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Backlog {
    /// Running and pending, whoever submitted them.
    pub total: u64,
    /// Those that did not come from this collector; unknown until its `/queue` was read at this total.
    pub foreign: Option<u64>,
}

/// One thing that polling or a socket told of a backend.
#[derive(Debug)]
pub struct Observation {
    pub backend: BackendId,
    pub at: UnixMillis,
    pub seen: Seen,
}

#[derive(Debug)]
pub enum Seen {
    Backlog(Backlog),
    Stats(Box<SystemStats>),
    Catalog(Arc<Catalog>),
    CatalogUnreadable(String),
    Models(Arc<Models>),
    Failed(Failure),
    SocketOpened,
    SocketClosed,
    Agent(Arc<Figures>),
    AgentFailed(Failure),
}

impl Backend {
    pub fn new(id: BackendId, url: Url, agent_url: Url) -> Self {
        Self {
            id,
            url,
            agent_url,
            tags: BTreeSet::new(),
            draining_since: None,
            health: Health::default(),
            socket_since: None,
            backlog: None,
            stats: None,
            catalog: None,
            catalog_problem: None,
            models: None,
            agent: None,
            agent_health: Health::default(),
        }
    }

    /// Whether a job can be handed to it now: nobody drains it, it answers, we hear its events, and we know what it
    /// offers.
    pub fn takes_jobs(&self) -> bool {
        self.draining_since.is_none()
            && self.health.is_up()
            && self.socket_since.is_some()
            && self.catalog.is_some()
    }

    /// For how long nothing has listened at its address: a process that is gone runs nothing.
    pub fn refused_for(&self) -> Option<Duration> {
        self.health.refused_for()
    }
}

impl Fleet {
    pub fn of(backends: impl IntoIterator<Item = Backend>) -> Self {
        Self { backends: backends.into_iter().map(Arc::new).collect(), union: Arc::default() }
    }

    pub fn get(&self, id: &BackendId) -> Option<&Arc<Backend>> {
        self.backends.iter().find(|backend| backend.id == *id)
    }

    fn renew_union(&mut self) {
        self.union = Arc::new(Union::of(self.backends.iter().filter_map(|backend| backend.catalog.clone())));
    }
}
