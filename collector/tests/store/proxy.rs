//! A way to the server that loses answers on command.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};

pub(crate) struct Proxy {
    pub(crate) port: u16,
    loses_next: Arc<AtomicBool>,
}

impl Proxy {
    /// In front of a server that listens on a socket.
    pub(crate) async fn before(socket: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (port, loses_next) = (listener.local_addr().unwrap().port(), Arc::<AtomicBool>::default());
        let loses = Arc::clone(&loses_next);
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&socket).await.unwrap();
                tokio::spawn(pass(client, server, Arc::clone(&loses)));
            }
        });
        Self { port, loses_next }
    }

    /// Of the connection that submits: what is asked next arrives and is done, and instead of the answer the connection ends.
    pub(crate) fn lose_an_answer(&self) {
        self.loses_next.store(true, Ordering::SeqCst);
    }

    pub(crate) fn has_lost_it(&self) -> bool {
        !self.loses_next.load(Ordering::SeqCst)
    }
}

async fn pass(client: TcpStream, server: UnixStream, loses: Arc<AtomicBool>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let submits = AtomicBool::new(false);
    let asks = async {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from_client.read(&mut buffer).await?;
            let sent = &buffer[..read];
            if sent.windows(SUBMITS.len()).any(|window| window == SUBMITS) {
                submits.store(true, Ordering::SeqCst);
            }
            match read {
                0 => return std::io::Result::Ok(()),
                _ => to_server.write_all(sent).await?,
            }
        }
    };
    let answers = async {
        let mut buffer = [0; 16 * 1024];
        loop {
            let read = from_server.read(&mut buffer).await?;
            let is_lost = submits.load(Ordering::SeqCst) && loses.swap(false, Ordering::SeqCst);
            match read {
                0 => return std::io::Result::Ok(()),
                _ if is_lost => return Ok(()),
                _ => to_client.write_all(&buffer[..read]).await?,
            }
        }
    };
    tokio::select! {
        _ = asks => {}
        _ = answers => {}
    }
}

/// What only the statement that submits says.
const SUBMITS: &[u8] = b"nextval('arrival')";
