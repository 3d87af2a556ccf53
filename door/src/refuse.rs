//! The answer to a connection for which there is no place: short, and never waited for by anybody else.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Limits;

const BUSY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\n\
    Retry-After: 1\r\nConnection: close\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: 80\r\n\r\n\
    too many connections are open; close some of them, or ask again in some seconds\n";

pub(super) async fn refuse(stream: TcpStream, limits: Limits) {
    if let Ok(Err(error)) = tokio::time::timeout(limits.refusal, tell(stream, limits)).await {
        tracing::debug!(%error, "a client went away before it was told that there are too many");
    }
}

async fn tell(mut stream: TcpStream, limits: Limits) -> io::Result<()> {
    stream.write_all(BUSY).await?;
    stream.shutdown().await?;
    // Closing with a request unread would reset the connection, and the answer might be lost.
    let mut rest = stream.take(limits.head_bytes as u64);
    tokio::io::copy(&mut rest, &mut tokio::io::sink()).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::BUSY;

    #[test]
    fn the_answer_has_the_length_that_it_names() {
        let text = std::str::from_utf8(BUSY).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("Content-Length: {}", body.len())), "{}", body.len());
    }
}
