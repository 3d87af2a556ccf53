//! A TCP connection that can be reset: dropped after its token was cancelled, the peer sees `ECONNRESET`
//! instead of an orderly end, as when a process is killed.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// The connection that a request came over, for handlers that reset it.
#[derive(Clone, Debug)]
pub(crate) struct Connection(pub(crate) CancellationToken);

impl Connection {
    /// Resets the connection. Never returns: whoever waits is dropped with the connection.
    pub(crate) async fn reset<T>(&self) -> T {
        self.0.cancel();
        std::future::pending().await
    }
}

pub(crate) struct Wire {
    stream: TcpStream,
    reset: CancellationToken,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, reset: CancellationToken) -> Self {
        Self { stream, reset }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.reset.is_cancelled() {
            // With no time to linger the kernel sends RST; where that fails the peer sees an orderly end.
            let _ = self.stream.set_zero_linger();
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
