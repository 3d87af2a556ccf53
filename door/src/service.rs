//! The service manager (systemd): the socket that it may pass on, and what it is told: that the program is ready, reads
//! its files again, ends, and is alive. Where there is none, nobody is told anything.

use std::io;
use std::net;

use listenfd::ListenFd;
use sd_notify::NotifyState;
use tokio::net::TcpListener;

/// The socket that a socket unit has opened, if this program was started with one.
///
/// To be called before there is a second thread: the variables that tell of the socket are taken out of the environment.
///
/// # Errors
/// It is none that connections come over, or there are several.
pub fn passed_listener() -> io::Result<Option<net::TcpListener>> {
    let mut passed = ListenFd::from_env();
    if passed.len() > 1 {
        let told = format!("the socket unit passes {} sockets; leave one ListenStream= in it", passed.len());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, told));
    }
    passed.take_tcp_listener(0)
}

/// Listens on the socket that was passed, or else at the address.
///
/// # Errors
/// The system refuses the address.
pub async fn listen(address: net::SocketAddr, passed: Option<net::TcpListener>) -> io::Result<TcpListener> {
    let Some(passed) = passed else { return TcpListener::bind(address).await };
    passed.set_nonblocking(true)?;
    TcpListener::from_std(passed)
}

/// Whoever asks is answered from now on; `status` is shown beside the unit's state.
pub fn ready(status: &str) {
    tell(&[NotifyState::Ready, NotifyState::Status(status)]);
}

/// Files are being read again, until [`reloaded`].
pub(crate) fn reloading() {
    let now = NotifyState::monotonic_usec_now().ok();
    tell(&[NotifyState::Reloading].into_iter().chain(now).collect::<Vec<_>>());
}

/// See [`reloading`].
pub(crate) fn reloaded() {
    tell(&[NotifyState::Ready]);
}

/// No more connections are taken; what is under way ends.
pub fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Says three times in each watchdog interval that the program is alive, each time after `alive` has returned. What does
/// not return has the program ended and started anew. Never returns; without a watchdog it does nothing.
pub async fn prove_life(alive: impl AsyncFn()) {
    let Some(interval) = sd_notify::watchdog_enabled().filter(|interval| !interval.is_zero()) else {
        return std::future::pending().await;
    };
    let mut ticks = tokio::time::interval(interval / 3);
    loop {
        ticks.tick().await;
        alive().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager cannot be told how this program fares; it may end it for that");
    }
}
