//! Faults on command: which request fails next, and how. Shared by simulated servers and agents.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::{Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::lock::locked;
use crate::wire::Connection;

/// A failure to come.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The requests that fail: a path (`/prompt`), with a method if only one is meant (`POST /prompt`), ending
    /// in `*` for all that begin so (`/history*`); `*` means every request. Without the prefix `/api`, which
    /// is ignored in requests. The WebSocket is `/ws`.
    pub route: String,
    /// How many requests fail. `u32::MAX`: all, until [`Faults::clear`].
    pub times: u32,
    /// How they fail.
    pub kind: FaultKind,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FaultKind {
    /// This HTTP status with a short text, and nothing is done.
    Status(u16),
    /// Never answered.
    Hang,
    /// The connection is reset, and nothing is done.
    Reset,
    /// Everything is done (a prompt is enqueued), then the connection is reset: the answer is lost.
    ResetAfterAccepting,
    /// 200 with a body that is neither JSON nor a picture, and nothing is done.
    Garbage,
    /// Answered after this time.
    Delay(Duration),
}

impl Fault {
    /// The next request of `route` fails.
    pub fn once(route: &str, kind: FaultKind) -> Self {
        Self { route: route.to_owned(), times: 1, kind }
    }

    /// Every request of `route` fails.
    pub fn always(route: &str, kind: FaultKind) -> Self {
        Self { route: route.to_owned(), times: u32::MAX, kind }
    }

    fn meets(&self, method: &Method, path: &str) -> bool {
        let (wanted, pattern) = match self.route.split_once(' ') {
            Some((wanted, pattern)) => (Some(wanted), pattern),
            None => (None, self.route.as_str()),
        };
        let path_meets = match pattern.strip_suffix('*') {
            Some(start) => path.starts_with(start),
            None => path == pattern,
        };
        path_meets && wanted.is_none_or(|wanted| wanted == method.as_str())
    }
}

/// The faults that wait for their requests.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Fault>>>);

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        locked(&self.0).push(fault);
    }

    pub(crate) fn clear(&self) {
        locked(&self.0).clear();
    }

    fn take(&self, method: &Method, path: &str) -> Option<FaultKind> {
        let mut waiting = locked(&self.0);
        let fault = waiting.iter_mut().find(|fault| fault.meets(method, path))?;
        let kind = fault.kind;
        if fault.times != u32::MAX {
            fault.times = fault.times.saturating_sub(1);
        }
        waiting.retain(|fault| fault.times > 0);
        Some(kind)
    }
}

/// The path of a request without the prefix under which ComfyUI serves everything twice.
pub(crate) fn route_of(path: &str) -> &str {
    match path.strip_prefix("/api") {
        Some(rest) if rest.starts_with('/') => rest,
        _ => path,
    }
}

/// The middleware that makes requests fail.
pub(crate) async fn inject(
    State(faults): State<Faults>,
    Extension(connection): Extension<Connection>,
    request: Request,
    next: Next,
) -> Response {
    match faults.take(request.method(), route_of(request.uri().path())) {
        None => next.run(request).await,
        Some(FaultKind::Status(code)) => status(code),
        Some(FaultKind::Hang) => std::future::pending().await,
        Some(FaultKind::Reset) => connection.reset().await,
        Some(FaultKind::ResetAfterAccepting) => {
            next.run(request).await;
            connection.reset().await
        }
        Some(FaultKind::Garbage) => garbage(),
        Some(FaultKind::Delay(time)) => {
            tokio::time::sleep(time).await;
            next.run(request).await
        }
    }
}

fn status(code: u16) -> Response {
    let code = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    (code, format!("{code}: a fault on command")).into_response()
}

fn garbage() -> Response {
    let kind = [(header::CONTENT_TYPE, "application/json; charset=utf-8")];
    (kind, b"{\"prompt_id\": \xff\xfe<html>".to_vec()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_meets_its_route_and_method_only() {
        let fault = Fault::once("POST /prompt", FaultKind::Reset);
        assert!(fault.meets(&Method::POST, "/prompt"));
        assert!(!fault.meets(&Method::GET, "/prompt"));
        assert!(!fault.meets(&Method::POST, "/prompts"));
        assert!(Fault::once("/history*", FaultKind::Hang).meets(&Method::GET, "/history/7"));
        assert!(Fault::once("*", FaultKind::Hang).meets(&Method::GET, "/queue"));
    }

    #[test]
    fn a_fault_happens_as_often_as_it_says() {
        let faults = Faults::default();
        faults.add(Fault { route: "/queue".to_owned(), times: 2, kind: FaultKind::Garbage });
        let taken = || faults.take(&Method::GET, "/queue");
        assert_eq!([taken(), taken(), taken()], [Some(FaultKind::Garbage), Some(FaultKind::Garbage), None]);
    }

    #[test]
    fn the_prefix_of_newer_servers_is_no_part_of_a_route() {
        assert_eq!(route_of("/api/prompt"), "/prompt");
        assert_eq!(route_of("/apis"), "/apis");
    }
}
