//! The only wiring: opens the store, starts the tasks, and hands each the channels that it needs.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::access::{Access, AccessError};
use crate::api::{self, App, Auth, Interface};
use crate::clients::{ByBackend, Clients};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::{Hub, Journal};
use crate::files::{Files, FilesError};
use crate::id::ClientId;
use crate::metrics::Metrics;
use crate::poll::Intervals;
use crate::queue::{Postgres, Queue, Retention, Sqlite, Store, StoreError};
use crate::roster::{self, RosterError};
use crate::route::free::Rules;
use crate::{config, dispatch, fleet, limits};

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
    Http(#[from] comfyui::Error),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error(
        "the file {file} that agent_ca_file names cannot be used: {source}; name a PEM file with the certificates of the \
         authority that signed the agents' own"
    )]
    Authority { file: PathBuf, source: comfyui::Error },
    #[error(
        "the web interface's files in {folder} cannot be read: {source}; name another folder with --interface-dir"
    )]
    Interface { folder: PathBuf, source: std::io::Error },
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
        let store = open_store(&config).await?;
        let client_id =
            ClientId::new(&store.setting("client_id", ClientId::random().as_str().to_owned()).await?);
        let files = Arc::new(Files::open(&config.state_directory, Arc::clone(&store)).await?);
        let config::History { jobs, age, bytes } = config.history;
        let retention = Retention { jobs, age, bytes };
        let members = roster::load(store.as_ref(), config.backends.clone()).await?;
        let kept = dispatch::load_kept(store.as_ref()).await?;
        let queue = Queue::open(store, retention, clock, Arc::clone(&metrics), stop.clone()).await?;
        let hub = Hub::new(Arc::clone(&metrics));
        let http = comfyui::client::http()?;
        let agents_http = agents_http(&config, &http)?;
        let (news, fleet) = fleet::owner::start(members.fleet(), stop.clone());
        let (tell, heard) = mpsc::channel(limits::SOCKET_FRAMES);
        let (spoken_to, clients) = watch::channel(ByBackend::new());
        let clients = Clients::of(clients);
        let dispatch = dispatch::start(dispatch::Parts {
            queue: queue.clone(),
            files: Arc::clone(&files),
            clients: clients.clone(),
            client_id: client_id.clone(),
            clock,
            kept,
            settings: dispatch::Settings {
                free: rules(&config.freeing),
                rerun_after_unreachable: config.rerun_after_unreachable,
            },
            fleet: fleet.clone(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
            heard,
            stop: stop.clone(),
        });
        let roster = roster::start(roster::Parts {
            members,
            queue: queue.clone(),
            dispatch: dispatch.clone(),
            clients: spoken_to,
            http,
            polls: roster::Polls {
                agents: config.agents,
                agents_http,
                client_id,
                intervals: Intervals::from_count(config.poll_interval),
                news,
                heard: tell,
                clock,
                metrics: Arc::clone(&metrics),
                stop: stop.clone(),
            },
        })?;
        let (max_body_bytes, large_answers) = (config.max_body_bytes, Semaphore::new(limits::LARGE_ANSWERS));
        let backends = fleet.borrow().backends.len();
        let app = App {
            queue,
            files,
            fleet,
            dispatch,
            hub,
            metrics,
            clients,
            interface: interface(&config.interface)?,
            roster,
            journal: Journal::new(clock.now().0),
            followers: Arc::new(Semaphore::new(limits::FOLLOWERS)),
            clock,
            max_body_bytes,
            large_answers,
            pictures: Semaphore::new(limits::PICTURES_AT_ONCE),
        };
        let scheme = if access.tls().is_some() { "https" } else { "http" };
        let server = serve(listener, config.access, access, app, stop.clone())?;
        tracing::info!(
            backends,
            database = config.database.shown(),
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

async fn open_store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    let password = config.database.password.as_ref().map(config::Password::as_str);
    Ok(match &config.database.server {
        Some(server) => Arc::new(Postgres::open(server, password, &config.state_directory).await?),
        None => Arc::new(Sqlite::open(&config.state_directory).await?),
    })
}

fn rules(freeing: &config::Freeing) -> Rules {
    Rules {
        idle: freeing.after_idle,
        others: freeing.for_others,
        host_memory: freeing.below_host_memory,
        out_of_memory: freeing.after_out_of_memory,
        before_job: freeing.before_jobs,
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
    asked: config::Access,
    access: Access,
    app: App,
    stop: CancellationToken,
) -> Result<JoinHandle<()>, StartError> {
    let again = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
    let (tls, allowed_hosts) = (access.tls(), asked.allowed_hosts);
    let auth = Auth::new(access.tokens(), allowed_hosts, tls.is_some());
    let server = tokio::spawn(api::serve(listener, tls, Arc::new(app), Arc::new(auth), stop.clone()));
    tokio::spawn(async move { stop.run_until_cancelled(door::files::keep(access, again)).await });
    Ok(server)
}

async fn listen(address: SocketAddr) -> Result<TcpListener, StartError> {
    TcpListener::bind(address).await.map_err(|source| StartError::Listen { address, source })
}

fn interface(config: &config::Interface) -> Result<Interface, StartError> {
    let folder = config.folder.clone().unwrap_or_default();
    Interface::open(config).map_err(|source| StartError::Interface { folder, source })
}

/// What agents are asked by: the same connections as ComfyUI's, unless another authority vouches for agents.
fn agents_http(config: &Config, http: &reqwest::Client) -> Result<reqwest::Client, StartError> {
    let Some(authority) = &config.agents.authority else { return Ok(http.clone()) };
    comfyui::client::http_trusting(&authority.pem)
        .map_err(|source| StartError::Authority { file: authority.file.clone(), source })
}
