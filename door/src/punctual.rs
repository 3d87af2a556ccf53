//! A stream whose requests come in time: from the connection's opening, or from the first byte after an answer, to a
//! request's last byte. Silence between requests is hyper's matter, whose `header_read_timeout` runs from an answer's
//! end to the end of the next head.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

use crate::Limits;
use crate::places::Place;

const COMING: u8 = 0;
const COMPLETE: u8 = 1;
const UPGRADED: u8 = 2;

/// By which the service tells the stream how far a request has come.
#[derive(Clone, Default)]
pub(crate) struct Arrival(Arc<AtomicU8>);

impl Arrival {
    /// The request has come to its end, or nobody wants the rest of it.
    pub(crate) fn complete(&self) {
        // What was upgraded stays so.
        let _ = self.0.compare_exchange(COMING, COMPLETE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// No request comes any more: the connection speaks another protocol, which has deadlines of its own.
    pub(crate) fn upgraded(&self) {
        self.0.store(UPGRADED, Ordering::Release);
    }

    /// What was told since the last look.
    fn take(&self) -> u8 {
        let told = self.0.load(Ordering::Acquire);
        if told == COMPLETE {
            // Only this stream looks, so nobody else can have reset it.
            let _ = self.0.compare_exchange(COMPLETE, COMING, Ordering::AcqRel, Ordering::Acquire);
        }
        told
    }
}

/// A request that is coming.
struct Request {
    began: Instant,
    bytes: u64,
    deadline: Pin<Box<Sleep>>,
}

impl Request {
    fn begin(limits: &Limits) -> Self {
        let began = Instant::now();
        Self { began, bytes: 0, deadline: Box::pin(tokio::time::sleep_until(began + limits.request)) }
    }

    fn came(&mut self, bytes: usize, limits: &Limits) {
        self.bytes += bytes as u64;
        let earned = Duration::from_secs_f64(self.bytes as f64 / f64::from(limits.bytes_a_second.max(1)));
        let deadline = (self.began + limits.request + earned).min(Instant::now() + limits.stall);
        self.deadline.as_mut().reset(deadline);
    }
}

pub(crate) struct Punctual<S> {
    stream: S,
    limits: Limits,
    /// None between requests. A request that follows in the bytes of the one before has none either, until more of it
    /// comes.
    request: Option<Request>,
    arrival: Arrival,
    /// Here, so that a connection that became a WebSocket keeps it.
    _place: Place,
}

impl<S> Punctual<S> {
    pub(crate) fn new(stream: S, limits: Limits, place: Place) -> Self {
        let request = Some(Request::begin(&limits));
        Self { stream, limits, request, arrival: Arrival::default(), _place: place }
    }

    pub(crate) fn arrival(&self) -> Arrival {
        self.arrival.clone()
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Punctual<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let told = self.arrival.take();
        if told != COMING {
            self.request = None;
        }
        let filled = buffer.filled().len();
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(cx, buffer) {
            if told != UPGRADED {
                let (limits, bytes) = (self.limits, buffer.filled().len() - filled);
                self.request.get_or_insert_with(|| Request::begin(&limits)).came(bytes, &limits);
            }
            return Poll::Ready(read);
        }
        if let Some(request) = &mut self.request {
            ready!(request.deadline.as_mut().poll(cx));
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
