//! Which backends there are and which get jobs, as operators want it: the one place where a backend is added, removed,
//! drained or resumed while the program runs. It keeps that over restarts, starts and stops the polls, and orders the
//! fleet's owner to follow. It knows nothing of what backends answer.

mod difference;
mod members;
mod owner;

use tokio::sync::{mpsc, oneshot};
use url::Url;

pub use self::members::Members;
use self::members::Saved;
pub use self::owner::{AskAgents, Parts, Polls, start};
use crate::config;
use crate::id::BackendId;
use crate::queue::{Store, StoreError};

/// The store's key.
const SETTING: &str = "roster";

#[derive(Debug, thiserror::Error)]
pub enum RosterError {
    #[error("no backend is called {0}; GET /orchestrator/v1/backends lists them")]
    Unknown(BackendId),
    #[error("a backend is called {0} already; give this one another name")]
    SameName(BackendId),
    #[error("{url} is the backend {id} already: one ComfyUI is one backend")]
    SameAddress { url: Url, id: BackendId },
    #[error("the fleet has {limit} backends, which is its bound", limit = crate::limits::BACKENDS)]
    Full,
    #[error(
        "{id} has {jobs} of our jobs: drain it and remove it once they have ended, or remove it with ?force=true, and \
         they run again elsewhere"
    )]
    Busy { id: BackendId, jobs: usize },
    #[error(transparent)]
    Address(#[from] comfyui::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the collector is stopping; ask again once it is back")]
    Stopping,
}

type Reply<T> = oneshot::Sender<Result<T, RosterError>>;

enum Request {
    Drain(BackendId, Reply<()>),
    Resume(BackendId, Reply<()>),
    Add(config::Backend, Reply<()>),
    Remove { backend: BackendId, force: bool, reply: Reply<bool> },
    Configure { backends: Vec<config::Backend>, agents: AskAgents, reply: Reply<()> },
}

/// How others reach the owner. Every method answers once the change is kept and the fleet shows it.
#[derive(Clone)]
pub struct Roster(mpsc::Sender<Request>);

impl Roster {
    /// It gets no new job; what it runs goes on. Nothing changes where it is so already.
    pub async fn drain(&self, backend: BackendId) -> Result<(), RosterError> {
        self.ask(|reply| Request::Drain(backend, reply)).await
    }

    pub async fn resume(&self, backend: BackendId) -> Result<(), RosterError> {
        self.ask(|reply| Request::Resume(backend, reply)).await
    }

    pub async fn add(&self, backend: config::Backend) -> Result<(), RosterError> {
        self.ask(|reply| Request::Add(backend, reply)).await
    }

    /// Without `force` only one that has no job of ours; with it, its jobs wait again and run elsewhere. True for one of
    /// the configuration, which comes back at the next start.
    pub async fn remove(&self, backend: BackendId, force: bool) -> Result<bool, RosterError> {
        self.ask(|reply| Request::Remove { backend, force, reply }).await
    }

    /// The configuration was read again. Backends that it no longer names are taken away, and their jobs run again
    /// elsewhere, as at a start with it. For a thread that may wait.
    pub fn configure_blocking(
        &self,
        backends: Vec<config::Backend>,
        agents: AskAgents,
    ) -> Result<(), RosterError> {
        let (reply, answer) = oneshot::channel();
        let request = Request::Configure { backends, agents, reply };
        self.0.blocking_send(request).map_err(|_| RosterError::Stopping)?;
        answer.blocking_recv().map_err(|_| RosterError::Stopping)?
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, RosterError> {
        let (reply, answer) = oneshot::channel();
        self.0.send(request(reply)).await.map_err(|_| RosterError::Stopping)?;
        answer.await.map_err(|_| RosterError::Stopping)?
    }
}

/// The configured backends and what operators changed before this start.
pub async fn load(store: &dyn Store, configured: Vec<config::Backend>) -> Result<Members, StoreError> {
    let row = store.setting(SETTING, "{}".to_owned()).await?;
    let damaged =
        |e: serde_json::Error| StoreError::Damaged { what: "the roster".into(), reason: e.to_string() };
    let saved: Saved = serde_json::from_str(&row).map_err(damaged)?;
    Ok(Members::of(configured, saved))
}
