//! A place where a simulated process lives: one port of one address, kept while the process is dead.
//!
//! Knows HTTP connections and nothing of what is served over them.

use std::io;
use std::net::SocketAddr;
use std::sync::Mutex;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::lock::locked;
use crate::wire::{Connection, Wire};

const BACKLOG: u32 = 1024;

/// The life of one simulated process: its tasks, and the token that ends them all.
#[derive(Clone, Debug, Default)]
pub(crate) struct Life {
    pub(crate) over: CancellationToken,
    pub(crate) tasks: TaskTracker,
}

impl Life {
    /// Runs a task until it ends or the process dies.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let over = self.over.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                () = over.cancelled() => {}
                () = task => {}
            }
        });
    }
}

#[derive(Debug)]
pub(crate) struct Host {
    address: SocketAddr,
    // Bound and never listening: nobody else gets the port while the process is dead, and connecting is refused.
    _reserved: TcpSocket,
    running: Mutex<Option<Life>>,
}

impl Host {
    /// Takes a port of an address, any free one for 0.
    pub(crate) fn reserve(address: SocketAddr) -> io::Result<Self> {
        let reserved = socket(address)?;
        let address = reserved.local_addr()?;
        Ok(Self { address, _reserved: reserved, running: Mutex::new(None) })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn is_up(&self) -> bool {
        locked(&self.running).is_some()
    }

    /// Starts a process that answers with what `serve` builds. Does nothing where one runs.
    pub(crate) fn up(&self, serve: impl FnOnce(Life) -> Router) -> io::Result<()> {
        let mut running = locked(&self.running);
        if running.is_some() {
            return Ok(());
        }
        let listener = socket(self.address)?.listen(BACKLOG)?;
        let life = Life::default();
        life.spawn(accept(listener, serve(life.clone()), life.clone()));
        *running = Some(life);
        Ok(())
    }

    /// Kills the process: every task ends, every connection is reset. Returns when nothing of it is left.
    pub(crate) async fn down(&self) {
        let life = locked(&self.running).take();
        if let Some(life) = life {
            life.over.cancel();
            life.tasks.close();
            life.tasks.wait().await;
        }
    }

    /// Kills the process without waiting for its end.
    pub(crate) fn abandon(&self) {
        if let Some(life) = locked(&self.running).take() {
            life.over.cancel();
        }
    }
}

fn socket(address: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(socket)
}

async fn accept(listener: TcpListener, router: Router, life: Life) {
    loop {
        // Out of file descriptors: the next turn tries again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let connection = life.over.child_token();
        life.tasks.spawn(serve(stream, router.clone(), connection));
    }
}

async fn serve(stream: TcpStream, router: Router, over: CancellationToken) {
    let _ = stream.set_nodelay(true);
    let wire = TokioIo::new(Wire::new(stream, over.clone()));
    let connection = Connection(over.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request: Request = request.map(Body::new);
        request.extensions_mut().insert(connection.clone());
        TowerToHyperService::new(router.clone()).call(request)
    });
    let served = http1::Builder::new().serve_connection(wire, service).with_upgrades();
    tokio::select! {
        biased;
        () = over.cancelled() => {}
        _ = served => {}
    }
}
