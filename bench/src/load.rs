//! Load: as many requests of one page as a server answers over a number of keep-alive connections. One thread makes it,
//! with raw sockets and no allocation, and its own time on a CPU is measured beside the server's: whoever of the two
//! had none left was the limit. It knows nothing of what the pages say.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::client::PATIENCE;
use crate::figures::{Spread, micros};
use crate::usage::{self, Work};

/// Not counted: the server's first answers on new connections.
pub(crate) const WARM_UP: Duration = Duration::from_millis(200);
const MAX_ANSWER_BYTES: usize = 2 << 20;
const MAX_HEADERS: usize = 32;
/// The share of a core from which on a program counts as having none left.
const SATURATED: f64 = 0.9;
/// The share of a core's time that a program may be kept waiting without a word about it.
const DISTURBED: f64 = 0.1;

/// Keep-alive connections, each with one request on its way whenever the load runs.
pub(crate) struct Load {
    request: Vec<u8>,
    connections: Vec<TcpStream>,
    buffer: Vec<u8>,
}

/// What one window of load came to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Window {
    requests: u64,
    elapsed: Duration,
    client: Work,
    server: Work,
}

/// What several windows came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Loaded {
    /// Of all windows.
    pub(crate) requests: u64,
    pub(crate) requests_a_second: Spread,
    /// Of all threads of the server, in microseconds.
    pub(crate) cpu_us_a_request: Spread,
    pub(crate) client: Busy,
    pub(crate) server: Busy,
    pub(crate) limit: Limit,
}

/// How a program spent the windows: shares of one core's time, so that several threads can have more than one.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Busy {
    pub(crate) on_cpu: f64,
    /// It could have run, but something else on the machine did.
    pub(crate) kept_waiting: f64,
}

/// Who of the two had no time left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    Server,
    /// The rate is at least this.
    Client,
    Both,
    /// Each waited for the other at times.
    Neither,
}

impl Limit {
    fn of(client: Busy, server: Busy) -> Self {
        match (client.is_saturated(), server.is_saturated()) {
            (false, true) => Self::Server,
            (true, false) => Self::Client,
            (true, true) => Self::Both,
            (false, false) => Self::Neither,
        }
    }

    /// For people.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Server => "server",
            Self::Client => "client",
            Self::Both => "both",
            Self::Neither => "neither",
        }
    }
}

impl Busy {
    fn of(work: impl Iterator<Item = Work>, elapsed: Duration) -> Self {
        let work = work.fold(Work::default(), Work::and);
        let share = |time: Duration| time.as_secs_f64() / elapsed.as_secs_f64();
        Self { on_cpu: share(work.ran), kept_waiting: share(work.waited) }
    }

    /// Whether other work on the machine took a part of its time that matters.
    pub(crate) fn is_disturbed(self) -> bool {
        self.kept_waiting > DISTURBED
    }

    /// Whoever waits for a core has something to do: that it does not get on is not for want of requests or answers.
    fn is_saturated(self) -> bool {
        self.on_cpu + self.kept_waiting >= SATURATED
    }
}

impl Loaded {
    /// `None` without windows, or where nothing was answered in one.
    pub(crate) fn of(windows: &[Window]) -> Option<Self> {
        let elapsed = windows.iter().map(|window| window.elapsed).sum();
        let client = Busy::of(windows.iter().map(|window| window.client), elapsed);
        let server = Busy::of(windows.iter().map(|window| window.server), elapsed);
        let answered = windows.iter().all(|window| window.requests > 0);
        let rate = |window: &Window| window.requests as f64 / window.elapsed.as_secs_f64();
        let cpu = |window: &Window| micros(window.server.ran) / window.requests as f64;
        Some(Self {
            requests: windows.iter().map(|window| window.requests).sum(),
            requests_a_second: Spread::of(windows.iter().map(rate)).filter(|_| answered)?,
            cpu_us_a_request: Spread::of(windows.iter().map(cpu))?,
            client,
            server,
            limit: Limit::of(client, server),
        })
    }
}

impl Load {
    /// Opens the connections and sends the first request on each.
    pub(crate) fn open(address: SocketAddr, path: &str, connections: usize) -> Result<Self> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").into_bytes();
        let streams = (0..connections).map(|_| {
            let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
            stream.set_nodelay(true)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.write_all(&request)?;
            Ok(stream)
        });
        let connections = streams.collect::<std::io::Result<_>>();
        let connections = connections.with_context(|| format!("connect to {address}"))?;
        Ok(Self { request, connections, buffer: vec![0; MAX_ANSWER_BYTES] })
    }

    /// Loads the process that serves the page for a while.
    pub(crate) fn window(mut self, pid: u32, length: Duration) -> Result<Window> {
        self.keep_up(WARM_UP)?;
        let (client, server, began) = (usage::own_work()?, usage::work(pid)?, Instant::now());
        let requests = self.keep_up(length)?;
        let elapsed = began.elapsed();
        let window = Window {
            requests,
            elapsed,
            client: usage::own_work()?.since(client),
            server: usage::work(pid)?.since(server),
        };
        self.drain()?;
        Ok(window)
    }

    /// Replaces every request that has been answered by a new one, connection after connection. Requests answered.
    pub(crate) fn keep_up(&mut self, length: Duration) -> Result<u64> {
        let end = Instant::now() + length;
        let mut answered = 0;
        while Instant::now() < end {
            for stream in &mut self.connections {
                answer(stream, &mut self.buffer)?;
                stream.write_all(&self.request).context("send a request")?;
                answered += 1;
            }
        }
        Ok(answered)
    }

    /// Reads what is still on its way.
    pub(crate) fn drain(&mut self) -> Result<()> {
        self.connections.iter_mut().try_for_each(|stream| answer(stream, &mut self.buffer))
    }
}

/// Reads one answer to its end.
fn answer(stream: &mut TcpStream, buffer: &mut [u8]) -> Result<()> {
    let mut filled = 0;
    while !is_whole(buffer.get(..filled).unwrap_or_default())? {
        let room = buffer.get_mut(filled..).unwrap_or_default();
        ensure!(!room.is_empty(), "an answer has more than {MAX_ANSWER_BYTES} bytes");
        let read = stream.read(room).context("read an answer")?;
        ensure!(read > 0, "the server closed a connection under load");
        filled += read;
    }
    Ok(())
}

/// Whether these are all bytes of an answer. One request is on its way a connection, so nothing may follow it.
fn is_whole(bytes: &[u8]) -> Result<bool> {
    let mut headers = [httparse::EMPTY_HEADER; MAX_HEADERS];
    let mut response = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(head_bytes) = response.parse(bytes)? else { return Ok(false) };
    ensure!(response.code == Some(200), "answered {} under load", response.code.unwrap_or_default());
    let header = |name: &str| {
        response
            .headers
            .iter()
            .find(|header| header.name.eq_ignore_ascii_case(name))
            .map(|header| header.value)
    };
    if let Some(length) = header("content-length") {
        let length: usize = std::str::from_utf8(length)?.parse().context("the length of an answer")?;
        let expected = head_bytes.saturating_add(length);
        ensure!(bytes.len() <= expected, "an answer is longer than it says");
        return Ok(bytes.len() == expected);
    }
    match header("transfer-encoding") {
        // The pages are text: no line of theirs is a zero alone.
        Some(_) => Ok(bytes.ends_with(b"\r\n0\r\n\r\n")),
        None => bail!("an answer has neither a length nor chunks"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";

    /// Answers whoever comes, each on a thread, until they go.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = BufReader::new(stream.unwrap());
                thread::spawn(move || {
                    let mut line = String::new();
                    while stream.read_line(&mut line).is_ok_and(|read| read > 0) {
                        if line.trim().is_empty() {
                            stream.get_mut().write_all(answer).unwrap();
                        }
                        line.clear();
                    }
                });
            }
        });
        address
    }

    #[test]
    fn a_window_counts_answers_and_the_time_of_who_asks() {
        let load = Load::open(server(ANSWER), "/", 3).unwrap();
        let window = load.window(std::process::id(), Duration::from_millis(50)).unwrap();
        assert!(window.requests > 0 && window.requests.is_multiple_of(3), "{window:?}");
        // The server's is this process's here, of which threads of other tests take theirs away when they end.
        assert!(window.client.ran > Duration::ZERO, "{window:?}");
    }

    #[test]
    fn an_answer_other_than_200_ends_the_load() {
        let load = Load::open(server(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"), "/", 1).unwrap();
        let error = load.window(std::process::id(), Duration::from_millis(1)).unwrap_err();
        assert!(error.to_string().contains("503"), "{error}");
    }

    #[test]
    fn an_answer_is_whole_at_its_length_or_its_last_chunk() {
        let cases: [(&[u8], Option<bool>); 9] = [
            (b"", Some(false)),
            (b"HTTP/1.1 200 OK\r\nContent-Le", Some(false)),
            (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{", Some(false)),
            (ANSWER, Some(true)),
            (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}{", None),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n", Some(false)),
            (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", Some(true)),
            (b"HTTP/1.1 200 OK\r\n\r\n", None),
            (b"SSH-2.0-OpenSSH\r\n", None),
        ];
        for (bytes, expected) in cases {
            assert_eq!(is_whole(bytes).ok(), expected, "{}", String::from_utf8_lossy(bytes));
        }
    }

    #[test]
    fn whoever_has_no_time_left_is_the_limit() {
        let (idle, full) = (busy(0.6, 0.0), busy(0.9, 0.0));
        let cases = [
            (idle, full, Limit::Server),
            (full, idle, Limit::Client),
            (full, full, Limit::Both),
            (idle, idle, Limit::Neither),
            // The machine did not let it run.
            (idle, busy(0.5, 0.45), Limit::Server),
        ];
        for (client, server, limit) in cases {
            assert_eq!(Limit::of(client, server), limit, "{client:?} {server:?}");
        }
    }

    #[test]
    fn windows_come_to_rates_and_times_a_request() {
        let work = |millis| Work { ran: Duration::from_millis(millis), waited: Duration::ZERO };
        let window = |requests, millis| Window {
            requests,
            elapsed: Duration::from_secs(1),
            client: work(500),
            server: work(millis),
        };
        let loaded = Loaded::of(&[window(100, 1_000), window(200, 1_000), window(400, 1_000)]).unwrap();
        assert_eq!((loaded.requests, loaded.requests_a_second.median), (700, 200.0));
        assert_eq!(loaded.cpu_us_a_request, Spread { median: 5_000.0, min: 2_500.0, max: 10_000.0 });
        assert_eq!((loaded.client, loaded.server), (busy(0.5, 0.0), busy(1.0, 0.0)));
        assert!(Loaded::of(&[]).is_none() && Loaded::of(&[window(0, 1)]).is_none());
    }

    fn busy(on_cpu: f64, kept_waiting: f64) -> Busy {
        Busy { on_cpu, kept_waiting }
    }
}
