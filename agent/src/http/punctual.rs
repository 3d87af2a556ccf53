//! A stream whose requests come in time: from the connection's opening, or from the first byte after an answer, to a
//! request's last byte. Silence between requests is hyper's matter, whose `header_read_timeout` runs from an answer's
//! end to the end of the next head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

/// By which the service tells the stream that a request has come to its end.
#[derive(Clone, Default)]
pub(super) struct Arrival(Arc<AtomicBool>);

impl Arrival {
    pub(super) fn complete(&self) {
        self.0.store(true, Ordering::Release);
    }
}

pub(super) struct Punctual<S> {
    stream: S,
    within: Duration,
    /// None between requests. A request that follows in the bytes of the one before has none either, until more of it
    /// comes.
    deadline: Option<Pin<Box<Sleep>>>,
    arrival: Arrival,
}

impl<S> Punctual<S> {
    pub(super) fn new(stream: S, within: Duration) -> Self {
        let deadline = Some(Box::pin(tokio::time::sleep(within)));
        Self { stream, within, deadline, arrival: Arrival::default() }
    }

    pub(super) fn arrival(&self) -> Arrival {
        self.arrival.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Punctual<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.arrival.0.swap(false, Ordering::Acquire) {
            self.deadline = None;
        }
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            let within = self.within;
            self.deadline.get_or_insert_with(|| Box::pin(tokio::time::sleep(within)));
            return Poll::Ready(read);
        }
        if let Some(deadline) = &mut self.deadline {
            ready!(deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the request came too slowly")));
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Punctual<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
