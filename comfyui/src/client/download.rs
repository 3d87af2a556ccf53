//! A file on its way from a server: passed on piece by piece, never held whole.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::stream::{self, Stream};
use reqwest::header::HeaderMap;
use reqwest::{Response, StatusCode};
use tokio::time::timeout;

use super::call;
use crate::{Cause, Error};

const DOWNLOAD: &str = "read a file";

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct Download {
    /// 200, 206 for a range, 304 when the caller's copy is good; any other where a request was passed on.
    pub status: StatusCode,
    /// As the server sent them.
    pub headers: HeaderMap,
    response: Response,
    backend: String,
    silence: Duration,
}

impl Download {
    pub(super) fn of(response: Response, backend: String, silence: Duration) -> Self {
        Self { status: response.status(), headers: response.headers().clone(), response, backend, silence }
    }

    /// The next piece; `None` at the end.
    ///
    /// # Errors
    /// When the connection breaks or is silent for too long. Then there is no more.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let next = timeout(self.silence, self.response.chunk()).await;
        let chunk = next.map_or(Err(Cause::Timeout), |chunk| chunk.map_err(call::cause));
        chunk.map_err(|cause| self.error(cause))
    }

    /// The body as a stream that ends after the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
        stream::unfold(Some(self), |download| async {
            let mut download = download?;
            match download.chunk().await {
                Ok(chunk) => chunk.map(|chunk| (Ok(chunk), Some(download))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    /// The whole body, if it is not longer than that.
    ///
    /// # Errors
    /// When it is longer, or the connection breaks or is silent for too long.
    pub async fn bytes(mut self, limit_bytes: u64) -> Result<Bytes, Error> {
        let too_large = |bytes: u64| bytes > limit_bytes;
        if self.response.content_length().is_some_and(too_large) {
            return Err(self.error(Cause::TooLarge { limit_bytes }));
        }
        let mut body = BytesMut::new();
        while let Some(chunk) = self.chunk().await? {
            if too_large((body.len() + chunk.len()) as u64) {
                return Err(self.error(Cause::TooLarge { limit_bytes }));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    fn error(&self, cause: Cause) -> Error {
        Error { operation: DOWNLOAD, backend: self.backend.clone(), cause }
    }
}
