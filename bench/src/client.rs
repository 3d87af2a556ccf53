//! A plain HTTP/1.1 client over one keep-alive connection: blocking, so that no scheduler but the kernel's stands
//! between a request and its answer. For answers with a length or in chunks; no redirects, no compression.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

/// How long a server may be silent.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);
const MAX_BODY_BYTES: usize = 64 << 20;
const MAX_HEAD_BYTES: u64 = 64 << 10;

/// One keep-alive connection.
#[derive(Debug)]
pub(crate) struct Connection {
    address: SocketAddr,
    /// A header of every request, or nothing.
    authorization: String,
    stream: BufReader<TcpStream>,
}

/// What a server answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// From the first byte written to the last byte read.
    pub(crate) took: Duration,
}

impl Answer {
    /// The answer, if its status is 200.
    pub(crate) fn ok(self) -> Result<Self> {
        ensure!(self.status == 200, "answered {}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }
}

impl Connection {
    pub(crate) fn open(address: SocketAddr) -> Result<Self> {
        Self::open_as(None, address)
    }

    /// Whose every request shows this token.
    pub(crate) fn open_as(token: Option<&str>, address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&address, PATIENCE)
            .with_context(|| format!("connect to {address}"))?;
        stream.set_nodelay(true).context("set TCP_NODELAY")?;
        stream.set_read_timeout(Some(PATIENCE)).context("set the reading timeout")?;
        let authorization =
            token.map(|token| format!("Authorization: Bearer {token}\r\n")).unwrap_or_default();
        Ok(Self { address, authorization, stream: BufReader::with_capacity(64 << 10, stream) })
    }

    pub(crate) fn get(&mut self, path: &str) -> Result<Answer> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\n{}\r\n", self.address, self.authorization);
        self.exchange(request.as_bytes()).with_context(|| format!("GET {path} of {}", self.address))
    }

    pub(crate) fn post(&mut self, path: &str, json: &str) -> Result<Answer> {
        let request = format!(
            "POST {path} HTTP/1.1\r\nHost: {}\r\n{}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{json}",
            self.address,
            self.authorization,
            json.len(),
        );
        self.exchange(request.as_bytes()).with_context(|| format!("POST {path} of {}", self.address))
    }

    /// Posts the body of a prompt; the id that the server gives it.
    pub(crate) fn prompt(&mut self, json: &str) -> Result<String> {
        let answer = self.post("/prompt", json)?.ok()?;
        let answer: serde_json::Value =
            serde_json::from_slice(&answer.body).context("the answer to a prompt")?;
        let id = answer.get("prompt_id").and_then(serde_json::Value::as_str);
        Ok(id.context("the answer to a prompt names no prompt_id")?.to_owned())
    }

    /// Puts a file into a folder of a ComfyUI (`input`, `output`, `temp`), in place of one that has its name.
    pub(crate) fn upload(&mut self, name: &str, folder: &str, bytes: &[u8]) -> Result<Answer> {
        const BOUNDARY: &str = "a-boundary-that-no-file-contains";
        let part = |head: &str| format!("--{BOUNDARY}\r\nContent-Disposition: form-data; {head}\r\n\r\n");
        let start = part("name=\"overwrite\"")
            + "true\r\n"
            + &part("name=\"type\"")
            + folder
            + "\r\n"
            + &part(&format!("name=\"image\"; filename=\"{name}\""));
        let end = format!("\r\n--{BOUNDARY}--\r\n");
        let head = format!(
            "POST /upload/image HTTP/1.1\r\nHost: {}\r\n{}Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\
             Content-Length: {}\r\n\r\n",
            self.address,
            self.authorization,
            start.len() + bytes.len() + end.len(),
        );
        let request = [head.as_bytes(), start.as_bytes(), bytes, end.as_bytes()].concat();
        self.exchange(&request).with_context(|| format!("upload {name} to {}", self.address))
    }

    fn exchange(&mut self, request: &[u8]) -> Result<Answer> {
        let began = Instant::now();
        self.stream.get_mut().write_all(request)?;
        let head = self.head()?;
        let body = match head.length {
            Length::Known(bytes) => self.exactly(bytes)?,
            Length::Chunks => self.chunks()?,
        };
        Ok(Answer { status: head.status, body, took: began.elapsed() })
    }

    fn head(&mut self) -> Result<Head> {
        let status = self.line()?;
        let status = status.split(' ').nth(1).and_then(|code| code.parse().ok());
        let mut head =
            Head { status: status.context("the answer is no HTTP/1.1")?, length: Length::Known(0) };
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(head);
            }
            head.take(&line)?;
        }
    }

    fn line(&mut self) -> Result<String> {
        let mut line = String::new();
        let read = self.stream.by_ref().take(MAX_HEAD_BYTES).read_line(&mut line)?;
        ensure!(read > 0, "the server closed the connection");
        Ok(line.trim_end().to_owned())
    }

    fn exactly(&mut self, bytes: usize) -> Result<Vec<u8>> {
        ensure!(bytes <= MAX_BODY_BYTES, "an answer of {bytes} bytes is too long");
        let mut body = vec![0; bytes];
        self.stream.read_exact(&mut body)?;
        Ok(body)
    }

    fn chunks(&mut self) -> Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let size = self.line()?;
            let size = usize::from_str_radix(&size, 16).context("the length of a chunk")?;
            body.extend(self.exactly(size)?);
            ensure!(self.line()?.is_empty(), "a chunk is longer than it says");
            if size == 0 {
                return Ok(body);
            }
        }
    }
}

struct Head {
    status: u16,
    length: Length,
}

enum Length {
    Known(usize),
    Chunks,
}

impl Head {
    fn take(&mut self, line: &str) -> Result<()> {
        let Some((name, value)) = line.split_once(':') else { bail!("the header {line:?} has no colon") };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => self.length = Length::Known(value.trim().parse().context(line.to_owned())?),
            "transfer-encoding" => self.length = Length::Chunks,
            _ => {}
        }
        Ok(())
    }
}

/// The address of a URL of the form `http://127.0.0.1:PORT`.
pub(crate) fn address_of(url: &str) -> Result<SocketAddr> {
    let address = url.trim_start_matches("http://").trim_end_matches('/');
    address.parse().with_context(|| format!("{url} is no address and port"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one request for every given answer, over one connection.
    fn server(answers: &'static [&'static str]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            let (stream, _) = listener.accept().unwrap();
            let mut stream = BufReader::new(stream);
            for answer in answers {
                let mut line = String::new();
                while stream.read_line(&mut line).unwrap() > 2 {
                    line.clear();
                }
                stream.get_mut().write_all(answer.as_bytes()).unwrap();
            }
        });
        address
    }

    #[test]
    fn answers_with_a_length_and_in_chunks_follow_each_other_on_one_connection() {
        let address = server(&[
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nfirst",
            "HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nsec\r\na\r\nond answer\r\n0\r\n\r\n",
        ]);
        let mut connection = Connection::open(address).unwrap();
        assert_eq!(connection.get("/a").unwrap().ok().unwrap().body, b"first");
        let second = connection.get("/b").unwrap();
        assert_eq!((second.status, second.body.as_slice()), (404, b"second answer".as_slice()));
    }

    #[test]
    fn a_connection_that_ends_early_is_an_error() {
        let address = server(&["HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nfirst"]);
        assert!(Connection::open(address).unwrap().get("/").is_err());
    }
}
