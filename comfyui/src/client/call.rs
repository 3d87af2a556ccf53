//! One call: send, read the answer within its bounds, say what went wrong.

use std::error::Error as _;
use std::io;

use bytes::{Bytes, BytesMut};
use reqwest::header::{AUTHORIZATION, HeaderMap, LOCATION};
use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::time::timeout;
use url::Url;

use super::{Bound, Client};
use crate::{Cause, Error};

/// How much of the body of an answer other than success is read where it is not read for its own sake.
const ERROR_BODY_BYTES: u64 = 64 << 10;
/// How much of it an error keeps.
const ERROR_BODY_CHARS: usize = 500;

/// The answer in full.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Bytes,
}

impl Client {
    pub(super) fn request(&self, method: Method, segments: &[&str]) -> RequestBuilder {
        self.request_of(method, self.address.route(segments))
    }

    pub(super) fn request_of(&self, method: Method, url: Url) -> RequestBuilder {
        let authorization = self.address.authorization().map(|header| (AUTHORIZATION, header.clone()));
        self.http.request(method, url).headers(HeaderMap::from_iter(authorization))
    }

    pub(super) fn get(&self, segments: &[&str]) -> RequestBuilder {
        self.request(Method::GET, segments)
    }

    pub(super) fn post(&self, segments: &[&str]) -> RequestBuilder {
        self.request(Method::POST, segments)
    }

    pub(super) fn error(&self, operation: &'static str, cause: Cause) -> Error {
        Error { operation, backend: self.backend().to_owned(), cause }
    }

    /// The document of a successful answer.
    pub(super) async fn document<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        bound: Bound,
        request: RequestBuilder,
    ) -> Result<T, Error> {
        let body = self.body(operation, bound, request).await?;
        self.parse(operation, &body)
    }

    pub(super) fn parse<T: DeserializeOwned>(
        &self,
        operation: &'static str,
        body: &[u8],
    ) -> Result<T, Error> {
        crate::from_slice(body).map_err(|why| self.error(operation, Cause::Document(why.to_string())))
    }

    /// The body of a successful answer.
    pub(super) async fn body(
        &self,
        operation: &'static str,
        bound: Bound,
        request: RequestBuilder,
    ) -> Result<Bytes, Error> {
        let answer = self.answer(operation, bound, request).await?;
        if answer.status.is_success() {
            return Ok(answer.body);
        }
        Err(self.error(operation, refusal(answer.status, &answer.body)))
    }

    /// The answer, whatever its status.
    pub(super) async fn answer(
        &self,
        operation: &'static str,
        bound: Bound,
        request: RequestBuilder,
    ) -> Result<Answer, Error> {
        let answer = timeout(bound.timeout, receive(request, bound.limit_bytes)).await;
        answer.unwrap_or(Err(Cause::Timeout)).map_err(|cause| self.error(operation, cause))
    }

    /// The answer's head, its body to be read by the caller.
    pub(super) async fn head(
        &self,
        operation: &'static str,
        request: RequestBuilder,
    ) -> Result<Response, Error> {
        let sent = timeout(self.bounds.stream_silence, request.send()).await;
        let head = sent.map_or(Err(Cause::Timeout), |sent| sent.map_err(cause));
        head.map_err(|cause| self.error(operation, cause))
    }

    /// What an answer other than success says, its body still to come.
    pub(super) async fn refused(&self, mut response: Response) -> Cause {
        if let Some(body) = elsewhere(&response) {
            return refusal(response.status(), &body);
        }
        let body = timeout(self.bounds.stream_silence, read(&mut response, ERROR_BODY_BYTES)).await;
        refusal(response.status(), &body.unwrap_or(Ok(Bytes::new())).unwrap_or_default())
    }
}

/// An answer other than success counts although its body cannot be read: the status says the most.
async fn receive(request: RequestBuilder, limit_bytes: u64) -> Result<Answer, Cause> {
    let mut response = request.send().await.map_err(cause)?;
    let status = response.status();
    if let Some(body) = elsewhere(&response) {
        return Ok(Answer { status, body });
    }
    match read(&mut response, limit_bytes).await {
        Err(_) if !status.is_success() => Ok(Answer { status, body: Bytes::new() }),
        body => Ok(Answer { status, body: body? }),
    }
}

/// What stands for the body of a redirect, which is not followed: where to.
fn elsewhere(response: &Response) -> Option<Bytes> {
    let location = response.headers().get(LOCATION).filter(|_| response.status().is_redirection())?;
    Some(format!("it redirects to {}; use that address", String::from_utf8_lossy(location.as_bytes())).into())
}

pub(super) async fn read(response: &mut Response, limit_bytes: u64) -> Result<Bytes, Cause> {
    let too_large = |bytes: u64| bytes > limit_bytes;
    if response.content_length().is_some_and(too_large) {
        return Err(Cause::TooLarge { limit_bytes });
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(cause)? {
        if too_large((body.len() + chunk.len()) as u64) {
            return Err(Cause::TooLarge { limit_bytes });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

pub(super) fn refusal(status: StatusCode, body: &[u8]) -> Cause {
    let text = String::from_utf8_lossy(body);
    Cause::Status { status: status.as_u16(), body: text.chars().take(ERROR_BODY_CHARS).collect() }
}

/// Why reqwest failed, sorted by what the server may have heard.
pub(super) fn cause(error: reqwest::Error) -> Cause {
    let error = error.without_url();
    if error.is_builder() {
        return Cause::Unsendable(innermost(&error));
    }
    match (error.is_connect(), error.is_timeout()) {
        (true, true) => Cause::Unreachable("no connection in time".to_owned()),
        (true, false) if is_refused(&error) => Cause::Refused,
        (true, false) => Cause::Unreachable(tls_fault(&error).unwrap_or_else(|| innermost(&error))),
        (false, true) => Cause::Timeout,
        (false, false) => Cause::Broken(innermost(&error)),
    }
}

fn is_refused(error: &reqwest::Error) -> bool {
    chain(error).any(|source| {
        source.downcast_ref::<io::Error>().is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused)
    })
}

fn tls_fault(error: &reqwest::Error) -> Option<String> {
    chain(error).filter_map(|source| source.downcast_ref::<io::Error>()).find_map(crate::tls::fault)
}

/// The innermost error is the one that a person can act on; those around it only say which layer passed it on.
fn innermost(error: &reqwest::Error) -> String {
    chain(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

fn chain(error: &reqwest::Error) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(error.source(), |&inner| inner.source())
}
