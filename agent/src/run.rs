//! The agent's only wiring: sampler, listener, HTTP and the signals that end it.

use std::io;
use std::net::{self, SocketAddr};
use std::sync::Arc;

use door::files::{self, Reloads};
use door::service;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch::Receiver;

use crate::access::{self, Access};
use crate::config::Config;
use crate::http::{self, Files, Shared};
use crate::limits::{CONNECTIONS, FILE_DESCRIPTORS, FIRST_SAMPLE_DEADLINE};
use crate::probe;
use crate::release::Release;
use crate::sample::Sample;
use crate::sampler;
use crate::watch;

/// Why the agent cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Somebody else has the port.
    #[error(
        "cannot listen on {address}: the port is in use; is another agent running? choose another with --listen"
    )]
    PortInUse {
        /// The address asked for.
        address: SocketAddr,
    },
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}; choose an address of this machine with --listen")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// The driver does not let this process in any more.
    #[error(
        "the NVIDIA driver refuses to be opened, as after `systemctl daemon-reload`; ending, to be started anew"
    )]
    ShutOut,
    /// The token or the certificate cannot be used.
    #[error(transparent)]
    Access(#[from] access::Error),
    /// The system refuses a thread or a signal handler.
    #[error("cannot start: {0}; check the limits of this process (ulimit -u and -n, TasksMax)")]
    Start(#[from] io::Error),
}

/// Whether all that the configuration names can be used; nothing else is touched.
///
/// # Errors
/// A file cannot be read or does not hold what it should.
pub fn check(config: &Config) -> Result<(), Error> {
    Access::load(&config.access)?;
    Ok(())
}

/// Samples and serves until SIGTERM or SIGINT, on the socket that was passed or else at the configured address. SIGHUP has
/// the token and the certificate read again.
///
/// # Errors
/// It cannot start; once it serves, nothing ends it but a signal.
pub async fn run(mut config: Config, passed: Option<net::TcpListener>) -> Result<(), Error> {
    bound_file_descriptors();
    if let Some(passed) = &passed {
        config.listen = passed.local_addr()?;
    }
    // Before signals are listened to: a file that hangs, such as a pipe, must not keep them from ending the agent.
    let access = Access::load(&config.access)?;
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let hangup = signal(SignalKind::hangup())?;
    let release = Arc::new(Release::default());
    let mut samples = sampler::start(probe::groups(&config, &release), config.gpu.clone())?;
    first_window(&mut samples).await;
    let listener = listen(config.listen, passed).await?;
    let reloads = Reloads::start();
    let files = Files { reloads: reloads.subscribe(), tls: access.tls() };
    announce(listener.local_addr()?, &access);
    let shared =
        Shared { samples: samples.clone(), ram_used: config.ram_used, compat: config.compat, release, files };
    let (routes, tls) = (http::guarded(http::routes(shared), access.token()), access.tls());
    let mut ended = Ok(());
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
            () = watch::watch(samples.clone()) => ended = Err(Error::ShutOut),
            () = files::keep(access, hangup, reloads) => {}
            () = service::prove_life(async || {}) => {}
        }
        service::stopping();
        tracing::info!("stopping");
    };
    door::serve(listener, tls, routes, CONNECTIONS, stop).await;
    ended
}

/// NVML maps memory in proportion to how many file descriptors a process may have.
fn bound_file_descriptors() {
    let limit = getrlimit(Resource::Nofile);
    let current = Some(limit.current.unwrap_or(FILE_DESCRIPTORS).min(FILE_DESCRIPTORS));
    // A limit may always be lowered; where that fails after all, the old one is no reason not to serve.
    let _ = setrlimit(Resource::Nofile, Rlimit { current, ..limit });
}

/// Waits until there is a figure for CPU utilization: before that, an answer would have to make one up.
async fn first_window(samples: &mut Receiver<Arc<Sample>>) {
    let seen = samples.wait_for(|sample| {
        sample.records.iter().filter(|record| record.name == "cpu").all(|record| record.attempts >= 2)
    });
    if tokio::time::timeout(FIRST_SAMPLE_DEADLINE, seen).await.is_err() {
        tracing::warn!("the processors' figures are late; serving without them");
    }
}

fn announce(address: SocketAddr, access: &Access) {
    let scheme = if access.tls().is_some() { "https" } else { "http" };
    tracing::info!("listening on {scheme}://{address}");
    service::ready(&format!("listening on {scheme}://{address}"));
    if access.token().is_none() && !address.ip().is_loopback() {
        tracing::warn!(
            "whoever reaches {address} may read this machine's figures: ask for a token with --token-file, \
             or listen on 127.0.0.1"
        );
    }
}

async fn listen(address: SocketAddr, passed: Option<net::TcpListener>) -> Result<TcpListener, Error> {
    service::listen(address, passed).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse { address },
        _ => Error::Listen { address, source },
    })
}
