//! The only wiring: opens the store, starts the tasks, and hands each the channels that it needs.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use comfyui::Client;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError};
use crate::api::{self, App, Auth};
use crate::clock::Clock;
use crate::config::{self, Config};
use crate::event::Hub;
use crate::files::{Files, FilesError};
use crate::fleet::{self, Fleet};
use crate::id::{BackendId, ClientId};
use crate::metrics::Metrics;
use crate::poll::{Intervals, Poller, SocketEvent};
use crate::queue::{Queue, Retention, Sqlite, Store, StoreError};
use crate::{dispatch, limits};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address}: {source}; is another program there? choose another address with --listen"
    )]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(
        "{address} can be reached from other machines, and whoever reaches it may do everything: name a file of tokens with \
         --token-file (`orchestrator-collector token` makes its entries), or say --insecure if that is meant"
    )]
    Exposed { address: SocketAddr },
    #[error(transparent)]
    Access(#[from] AccessError),
    #[error("the signal to read files again cannot be waited for: {0}")]
    Signal(std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Backend(#[from] comfyui::Error),
    #[error(
        "the file {file} that agent_ca_file names cannot be used: {source}; name a PEM file with the certificates of the \
         authority that signed the agents' own"
    )]
    Authority { file: PathBuf, source: comfyui::Error },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// A running collector. Dropping it leaves its tasks to the runtime; [`Collector::stop`] ends them in order.
pub struct Collector {
    address: SocketAddr,
    stop: CancellationToken,
    server: JoinHandle<()>,
}

impl Collector {
    /// Returns once clients can connect: the store is open, the backends may or may not be up.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        check_exposure(&config)?;
        let access = Access::load(&config.access)?;
        // The address first: a second collector must fail before it touches anything.
        let listener = listen(config.listen).await?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        let (clock, metrics, stop) = (Clock::start(), Arc::new(Metrics::new()?), CancellationToken::new());
        let store: Arc<dyn Store> = Arc::new(Sqlite::open(&config.state_directory).await?);
        let client_id =
            ClientId::new(&store.setting("client_id", ClientId::random().as_str().to_owned()).await?);
        let files = Arc::new(Files::open(&config.state_directory, Arc::clone(&store)).await?);
        let config::History { jobs, age, bytes } = config.history;
        let retention = Retention { jobs, age, bytes };
        let queue = Queue::open(store, retention, clock, Arc::clone(&metrics), stop.clone()).await?;
        let hub = Hub::new(Arc::clone(&metrics));
        let http = comfyui::client::http()?;
        let clients = clients(&config, &http)?;
        let agents_http = agents_http(&config, &http)?;
        let (fleet, heard) =
            watch_fleet(&config, &agents_http, &clients, &client_id, clock, &metrics, &stop)?;
        let dispatch = dispatch::start(dispatch::Parts {
            queue: queue.clone(),
            files: Arc::clone(&files),
            clients: clients.clone(),
            client_id,
            clock,
            settings: dispatch::Settings {
                free_after_idle: config.free_after_idle,
                rerun_after_unreachable: config.rerun_after_unreachable,
            },
            fleet: fleet.clone(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
            heard,
            stop: stop.clone(),
        });
        let (max_body_bytes, large_answers) = (config.max_body_bytes, Semaphore::new(limits::LARGE_ANSWERS));
        let app = App {
            queue,
            files,
            fleet,
            dispatch,
            hub,
            metrics,
            clients,
            clock,
            max_body_bytes,
            large_answers,
            pictures: Semaphore::new(limits::PICTURES_AT_ONCE),
        };
        let scheme = if access.tls().is_some() { "https" } else { "http" };
        let server = serve(listener, &config, access, app, stop.clone())?;
        tracing::info!(
            backends = config.backends.len(),
            state = %config.state_directory.display(),
            "listening on {scheme}://{address}"
        );
        Ok(Self { address, stop, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns should it have to stop by itself: something inside was lost, which the log tells.
    pub async fn failed(&self) {
        self.stop.cancelled().await;
    }

    /// Closes the sockets and lets open requests end. Jobs go on where they run and are found again at the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        // It has a bound of its own, and tells of what it cuts off.
        let _ = self.server.await;
    }
}

/// Without tokens only this machine may ask, unless somebody said otherwise.
fn check_exposure(config: &Config) -> Result<(), StartError> {
    let is_asked_for = config.access.token_file.is_some() || config.access.insecure;
    let address = config.listen;
    match is_asked_for || address.ip().to_canonical().is_loopback() {
        true => Ok(()),
        false => Err(StartError::Exposed { address }),
    }
}

/// Serves clients; the files of tokens and of the certificate are read again when they change, and upon SIGHUP.
fn serve(
    listener: TcpListener,
    config: &Config,
    access: Access,
    app: App,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, StartError> {
    let again = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
    let (tls, allowed_hosts) = (access.tls(), config.access.allowed_hosts.clone());
    let auth = Auth::new(access.tokens(), allowed_hosts, tls.is_some());
    let server = tokio::spawn(api::serve(listener, tls, Arc::new(app), Arc::new(auth), stop.clone()));
    tokio::spawn(async move { stop.run_until_cancelled(door::files::keep(access, again)).await });
    Ok(server)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn clients(config: &Config, http: &reqwest::Client) -> Result<HashMap<BackendId, Client>, comfyui::Error> {
    let client =
        |backend: &config::Backend| Ok((backend.id.clone(), Client::with(http.clone(), &backend.url)?));
    config.backends.iter().map(client).collect()
}

/// What agents are asked by: the same connections as ComfyUI's, unless another authority vouches for agents.
fn agents_http(config: &Config, http: &reqwest::Client) -> Result<reqwest::Client, StartError> {
    let Some(authority) = &config.agents.authority else { return Ok(http.clone()) };
    comfyui::client::http_trusting(&authority.pem)
        .map_err(|source| StartError::Authority { file: authority.file.clone(), source })
}

type Watched = (watch::Receiver<Arc<Fleet>>, mpsc::Receiver<SocketEvent>);

/// Starts the fleet's owner and every backend's polls.
fn watch_fleet(
    config: &Config,
    agents_http: &reqwest::Client,
    clients: &HashMap<BackendId, Client>,
    client_id: &ClientId,
    clock: Clock,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<Watched, comfyui::Error> {
    let (tell, heard) = mpsc::channel(limits::SOCKET_FRAMES);
    let known =
        config.backends.iter().map(|b| fleet::Backend::new(b.id.clone(), b.url.clone(), b.agent.clone()));
    let (observations, fleet) = fleet::owner::start(Fleet::of(known), stop.clone());
    for backend in &config.backends {
        let Some(client) = clients.get(&backend.id) else { continue };
        let poller = Poller {
            backend: backend.id.clone(),
            client: client.clone(),
            agent: Client::with(agents_http.clone(), &backend.agent)?,
            agent_authorization: config.agents.authorization(&backend.agent, &config.backends).cloned(),
            client_id: client_id.clone(),
            intervals: Intervals::from_count(config.poll_interval),
            observations: observations.clone(),
            heard: tell.clone(),
            clock,
            metrics: Arc::clone(metrics),
            stop: stop.clone(),
        };
        poller.start();
    }
    Ok((fleet, heard))
}
