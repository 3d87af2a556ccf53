//! The only wiring: opens the store, starts the tasks, and hands each the channels that it needs.

use std::net::{self, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;

use door::files::{self, Reloads};
use door::service;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::access::Access;
use crate::api::{self, App, Auth, Elsewhere, Guards, Interface};
use crate::archive::{self, Archive};
use crate::chronicle::{self, Chronicle};
use crate::clients::{ByBackend, Clients};
use crate::clock::Clock;
use crate::config::Config;
use crate::event::{Hub, Journal};
use crate::files::{Files, FilesError, Place, PlaceError};
use crate::id::ClientId;
use crate::metrics::Metrics;
use crate::poll::Intervals;
use crate::prepare::{PrepareError, Prepared};
use crate::queue::{Candidate, Postgres, Queue, Retention, Sqlite, Store, StoreError, Wanted};
use crate::reload::{Reload, Source};
use crate::roster::{self, AskAgents, RosterError};
use crate::trace::{self, Traces};
use crate::webhook::{self, Rules};
use crate::{config, dispatch, fleet, limits};

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "cannot listen on {address}: {source}; is another program there? choose another address with --listen"
    )]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error(
        "cannot listen on {address} for the web interface: {source}; is another program there, or is it the address of \
         --listen? choose another with --interface-listen"
    )]
    ListenForInterface { address: SocketAddr, source: std::io::Error },
    #[error(transparent)]
    Http(#[from] comfyui::Error),
    #[error(transparent)]
    Prepare(#[from] PrepareError),
    #[error("the signal to read files again cannot be waited for: {0}")]
    Signal(std::io::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Place(#[from] PlaceError),
    #[error(transparent)]
    Files(#[from] FilesError),
    #[error(transparent)]
    Roster(#[from] RosterError),
    #[error(
        "the web interface's files in {folder} cannot be read: {source}; name another folder with --interface-dir"
    )]
    Interface { folder: PathBuf, source: std::io::Error },
    #[error("the metrics cannot be set up: {0}")]
    Metrics(#[from] prometheus::Error),
}

/// What a program may be given besides its configuration.
#[derive(Default)]
pub struct Given {
    /// The socket to listen on, instead of the configured address.
    pub passed: Option<net::TcpListener>,
    /// Where the configuration is read again upon SIGHUP.
    pub source: Option<Source>,
    /// The database, where it was opened already to see that nobody else works on it.
    pub store: Option<Box<Postgres>>,
    /// Cancelled when another collector takes over the database.
    pub deposed: Option<CancellationToken>,
}

/// A running collector. Dropping it leaves its tasks to the runtime; [`Collector::stop`] ends them in order.
pub struct Collector {
    address: SocketAddr,
    interface_address: Option<SocketAddr>,
    stop: CancellationToken,
    server: JoinHandle<()>,
    dispatching: watch::Receiver<Arc<dispatch::View>>,
    traces: Option<Traces>,
}

impl Collector {
    /// Returns once clients can connect: the store is open, the backends may or may not be up.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        Self::start_with(config, Given::default()).await
    }

    /// The same with what a program is given besides.
    pub async fn start_with(mut config: Config, given: Given) -> Result<Self, StartError> {
        if let Some(address) = given.passed.as_ref().and_then(|passed| passed.local_addr().ok()) {
            config.listen = address;
        }
        let Prepared { access, http, agents_http } = Prepared::of(&config)?;
        // The address first: a second collector must fail before it touches anything.
        let listener = listen(config.listen, given.passed).await?;
        let address = address_of(&listener, config.listen)?;
        let interface_listener = match config.interface.listen {
            Some(address) => {
                let listener = service::listen(address, None).await;
                Some(listener.map_err(|source| StartError::ListenForInterface { address, source })?)
            }
            None => None,
        };
        let (clock, metrics, stop) = (Clock::start(), Arc::new(Metrics::new()?), CancellationToken::new());
        let deposed = given.deposed.unwrap_or_default();
        let (pass, store): (_, Arc<dyn Store>) = match given.store {
            Some(store) => (store.pass(), Arc::from(store as Box<dyn Store>)),
            None => (None, Box::pin(open_store(&config, deposed.clone())).await?),
        };
        tokio::spawn(stop_when(deposed, Arc::clone(&store), stop.clone()));
        let client_id =
            ClientId::new(&store.setting("client_id", ClientId::random().as_str().to_owned()).await?);
        let place = Place::make(&config.files_place())?;
        let files = Files::open(place.clone(), config.peers.is_some(), Arc::clone(&store)).await?;
        let files = Arc::new(files);
        let config::History { jobs, age, bytes } = config.history;
        let retention = Retention { jobs, age, bytes };
        let members = roster::load(store.as_ref(), config.backends.clone()).await?;
        let kept = dispatch::load_kept(store.as_ref()).await?;
        let usage = dispatch::load_usage(store.as_ref(), clock.now()).await?;
        let copies = match config.archive {
            Some(_) => Wanted::All,
            None if store.held_copies().await?.files > 0 => Wanted::Known,
            None => Wanted::None,
        };
        let queue = Queue::open(store, retention, copies, clock, Arc::clone(&metrics), stop.clone()).await?;
        let hub = Hub::new(Arc::clone(&metrics));
        let settings = watch::Sender::new(dispatch::Settings::of(&config));
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
            usage,
            tenants: access.tenants(),
            settings: settings.subscribe(),
            fleet: fleet.clone(),
            hub: Arc::clone(&hub),
            metrics: Arc::clone(&metrics),
            heard,
            stop: stop.clone(),
        });
        let traces = config.traces.clone().map(|url| {
            let (queue, http, metrics) = (queue.clone(), http.clone(), Arc::clone(&metrics));
            Traces::start(trace::Parts { queue, http, url, port: address.port(), metrics })
        });
        let roster = roster::start(roster::Parts {
            members,
            queue: queue.clone(),
            dispatch: dispatch.clone(),
            clients: spoken_to,
            http,
            polls: roster::Polls {
                agents: AskAgents { agents: config.agents.clone(), http: agents_http },
                client_id,
                intervals: Intervals::from_count(config.poll_interval),
                news,
                heard: tell,
                clock,
                metrics: Arc::clone(&metrics),
                stop: stop.clone(),
            },
        })?;
        let archive = config.archive.map(|config::Archive { age, bytes }| {
            Archive::start(archive::Parts {
                place,
                queue: queue.clone(),
                retention: archive::Retention { age, bytes },
                clients: clients.clone(),
                fleet: fleet.clone(),
                clock,
                metrics: Arc::clone(&metrics),
                stop: stop.clone(),
            })
        });
        let webhooks = webhooks(&config.webhooks, &access, &queue, clock, &metrics, &stop)?;
        let (max_body_bytes, large_answers) = (config.max_body_bytes, Semaphore::new(limits::LARGE_ANSWERS));
        let backends = fleet.borrow().backends.len();
        let chronicle = Arc::new(Chronicle::default());
        let keeping = chronicle::keep(Arc::clone(&chronicle), dispatch.view.clone(), clock, stop.clone());
        tokio::spawn(keeping);
        let (reloads, tls) = (Reloads::start(), access.tls());
        let dispatching = dispatch.view.clone();
        let app = App {
            queue,
            files,
            fleet,
            dispatch,
            hub,
            metrics,
            clients,
            interface: interface(&config.interface)?,
            roster: roster.clone(),
            webhooks,
            journal: Journal::new(clock.now().0),
            live: watch::Sender::new("".into()),
            chronicle,
            followers: Arc::new(Semaphore::new(limits::FOLLOWERS)),
            archive,
            clock,
            max_body_bytes,
            large_answers,
            pictures: Semaphore::new(limits::PICTURES_AT_ONCE),
            reloads: reloads.subscribe(),
            tls: tls.clone(),
        };
        let scheme = if tls.is_some() { "https" } else { "http" };
        let interface_address =
            interface_listener.as_ref().map(|listener| address_of(listener, address)).transpose()?;
        // Before anybody is told that it listens: until then the signal would end the program.
        let again = signal(SignalKind::hangup()).map_err(StartError::Signal)?;
        tracing::info!(
            backends,
            database = config.database.shown(),
            state = %config.state_directory.display(),
            "listening on {scheme}://{address}"
        );
        if let Some(address) = interface_address {
            tracing::info!("the web interface is at {scheme}://{address}");
        }
        let guards =
            Guards { pass, ..guards(&config, &access, address, interface_listener.zip(interface_address)) };
        let server = tokio::spawn(api::serve(listener, tls, Arc::new(app), guards, stop.clone()));
        let reload = Reload { source: given.source, in_force: config, access, settings, roster };
        let keep = files::keep(reload, again, reloads);
        let until = stop.clone();
        tokio::spawn(async move { Box::pin(until.run_until_cancelled(keep)).await });
        service::ready(&format!("{backends} backends; listening on {scheme}://{address}"));
        Ok(Self { address, interface_address, stop, server, dispatching, traces })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where the web interface is, if it has an address of its own.
    pub fn interface_address(&self) -> Option<SocketAddr> {
        self.interface_address
    }

    /// Returns should it have to stop by itself: something inside was lost, which the log tells.
    pub async fn failed(&self) {
        self.stop.cancelled().await;
    }

    /// Returns once the fleet and the queue have been looked at once more, which is never long: who waits for it in vain
    /// knows that nothing happens any more.
    pub async fn lives(&self) {
        let mut dispatching = self.dispatching.clone();
        dispatching.mark_unchanged();
        // When dispatch has ended the program stops, which is no reason to take it for hung.
        let _ = dispatching.changed().await;
    }

    /// Closes the sockets, lets open requests end, and what is under way with backends. Jobs go on where they run and are
    /// found again at the next start.
    pub async fn stop(mut self) {
        self.stop.cancel();
        // Each has a bound of its own, and tells of what it cuts off.
        let _ = self.server.await;
        while self.dispatching.changed().await.is_ok() {}
        if let Some(traces) = self.traces {
            traces.finish().await;
        }
    }
}

/// Another collector works on the database: nothing that this one would do would be kept.
async fn stop_when(deposed: CancellationToken, store: Arc<dyn Store>, stop: CancellationToken) {
    let looks = async {
        let mut look = tokio::time::interval(limits::LOOKS_WHETHER_IT_LEADS);
        while !deposed.is_cancelled() {
            look.tick().await;
            // Where it cannot be known whoever would write is told.
            let _ = store.confirm().await;
        }
    };
    if stop.run_until_cancelled(looks).await.is_some() {
        tracing::error!("another collector has taken over the database: stopping");
        stop.cancel();
    }
}

async fn open_store(config: &Config, deposed: CancellationToken) -> Result<Arc<dyn Store>, StoreError> {
    let password = config.database.password.as_ref().map(config::Password::as_str);
    Ok(match &config.database.server {
        Some(server) => {
            let candidate = Candidate::new(server, password, None, deposed)?;
            Arc::new(Postgres::of(candidate.in_directory(&config.state_directory)?).await?)
        }
        None => Arc::new(Sqlite::open(&config.state_directory).await?),
    })
}

/// The rules for webhooks, where there is a secret to sign them with; those that wait are sent from now on.
fn webhooks(
    asked: &config::Webhooks,
    access: &Access,
    queue: &Queue,
    clock: Clock,
    metrics: &Arc<Metrics>,
    stop: &CancellationToken,
) -> Result<Option<Rules>, StartError> {
    let Some(secrets) = access.webhook_secrets() else { return Ok(None) };
    let rules = Rules { allow: asked.allow.clone() };
    let (queue, metrics, stop) = (queue.clone(), Arc::clone(metrics), stop.clone());
    webhook::start(webhook::Parts { queue, rules: rules.clone(), secrets, clock, metrics, stop })?;
    Ok(Some(rules))
}

/// The addresses' doors: each knows where the other is.
fn guards(
    config: &Config,
    access: &Access,
    main: SocketAddr,
    interface: Option<(TcpListener, SocketAddr)>,
) -> Guards {
    let tls = access.tls().is_some();
    let (public_url, interface_url) = (config.access.public_url.clone(), config.interface.url.clone());
    let is_secure = |url: &Option<Url>| tls || url.as_ref().is_some_and(|url| url.scheme() == "https");
    let (at_main, at_interface) = (is_secure(&public_url), is_secure(&interface_url));
    let elsewhere = |url: Option<Url>, address: SocketAddr| Elsewhere { url, port: address.port(), tls };
    let its_place = interface.as_ref().map(|(_, address)| elsewhere(interface_url, *address));
    let auth = Auth::new(access.tokens(), config.access.allowed_hosts.clone(), at_main, its_place);
    let auth = Arc::new(auth.with_sites(&config.access.cors_origins));
    let interface = interface.map(|(listener, _)| {
        let beside = Auth::of_interface(&auth, elsewhere(public_url, main), at_interface);
        (listener, Arc::new(beside))
    });
    Guards { main: auth, interface, pass: None }
}

fn address_of(listener: &TcpListener, asked: SocketAddr) -> Result<SocketAddr, StartError> {
    listener.local_addr().map_err(|source| StartError::Listen { address: asked, source })
}

pub(crate) async fn listen(
    address: SocketAddr,
    passed: Option<net::TcpListener>,
) -> Result<TcpListener, StartError> {
    let listener = service::listen(address, passed).await;
    listener.map_err(|source| StartError::Listen { address, source })
}

fn interface(config: &config::Interface) -> Result<Interface, StartError> {
    let folder = config.folder.clone().unwrap_or_default();
    Interface::open(config).map_err(|source| StartError::Interface { folder, source })
}
