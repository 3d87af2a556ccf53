//! A simulated agent: the figures of a machine, as the agent beside a ComfyUI serves them.

mod figures;

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::Value;

use crate::comfy::{Comfy, Rig};
use crate::error::{Error, Result};
use crate::faults::{Fault, Faults, inject};
use crate::gate::Gate;
use crate::host::Host;
use crate::lock::locked;
pub use figures::{Figures, GpuFigures};

/// What a simulated agent is like.
#[derive(Clone, Debug)]
pub struct AgentConfig {
    /// The port of 127.0.0.1; 0: any free one.
    pub port: u16,
    /// What it reports at first.
    pub figures: Figures,
    /// The server beside which it stands: its GPU's memory and work show in the figures.
    pub beside: Option<Comfy>,
    /// Whether it serves `/v1/report` too, or only the Python node's document.
    pub has_report: bool,
    /// What it asks for but at `/-/`: without it the answer is 401. None: nothing.
    pub token: Option<String>,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self { port: 0, figures: Figures::default(), beside: None, has_report: true, token: None }
    }
}

#[derive(Debug)]
struct Desk {
    figures: Mutex<Figures>,
    beside: Option<Arc<Rig>>,
    has_report: bool,
    token: Option<String>,
    faults: Faults,
    gate: Gate,
    requests: Mutex<BTreeMap<String, u64>>,
}

/// A running simulated agent. Dropped, it ends.
#[derive(Debug)]
pub struct Agent {
    host: Host,
    desk: Arc<Desk>,
}

impl Agent {
    /// Starts an agent.
    ///
    /// # Errors
    /// [`Error::Start`] where the port cannot be had.
    pub async fn start(config: AgentConfig) -> Result<Self> {
        let address = (Ipv4Addr::LOCALHOST, config.port).into();
        let at_start = |source| Error::Start { address, source };
        let desk = Arc::new(Desk {
            figures: Mutex::new(config.figures),
            beside: config.beside.as_ref().map(Comfy::rig),
            has_report: config.has_report,
            token: config.token,
            faults: Faults::default(),
            gate: Gate::default(),
            requests: Mutex::default(),
        });
        let agent = Self { host: Host::reserve(address).map_err(at_start)?, desk };
        agent.up().map_err(at_start)?;
        Ok(agent)
    }

    /// `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.host.address())
    }

    /// Reports these figures from now on.
    pub fn set(&self, figures: Figures) {
        *locked(&self.desk.figures) = figures;
    }

    /// Makes requests fail.
    pub fn fail(&self, fault: Fault) {
        self.desk.faults.add(fault);
    }

    /// Forgets all faults that wait.
    pub fn clear_faults(&self) {
        self.desk.faults.clear();
    }

    /// Answers nothing until [`unhang`](Self::unhang).
    pub fn hang(&self) {
        self.desk.gate.hang(true);
    }

    /// Answers again, what was asked meanwhile too.
    pub fn unhang(&self) {
        self.desk.gate.hang(false);
    }

    /// Dies like by `kill -9`. The port stays its own.
    pub async fn kill(&self) {
        self.host.down().await;
    }

    /// Starts again on the same port, after dying where it still runs.
    ///
    /// # Errors
    /// [`Error::Start`] where the system refuses to listen.
    pub async fn restart(&self) -> Result<()> {
        self.kill().await;
        self.up().map_err(|source| Error::Start { address: self.host.address(), source })
    }

    /// Requests so far, by `METHOD /path`.
    pub fn requests(&self) -> BTreeMap<String, u64> {
        locked(&self.desk.requests).clone()
    }

    fn up(&self) -> std::io::Result<()> {
        self.host.up(|_| router(Arc::clone(&self.desk)))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.host.abandon();
    }
}

fn router(desk: Arc<Desk>) -> Router {
    let mut routes = Router::new()
        .route("/orchestrator/metrics", get(node_metrics))
        .route("/-/healthy", get(|| async { "ok" }))
        .route("/-/ready", get(|| async { "ok" }));
    if desk.has_report {
        routes = routes.route("/v1/report", get(v1_report));
    }
    routes
        .layer(middleware::from_fn_with_state(desk.faults.clone(), inject))
        .layer(middleware::from_fn_with_state(Arc::clone(&desk), observe))
        .with_state(desk)
}

async fn observe(State(desk): State<Arc<Desk>>, request: Request, next: Next) -> Response {
    let route = format!("{} {}", request.method(), request.uri().path());
    *locked(&desk.requests).entry(route).or_default() += 1;
    desk.gate.answer().await;
    if !desk.lets_in(&request) {
        return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Bearer")]).into_response();
    }
    next.run(request).await
}

impl Desk {
    fn lets_in(&self, request: &Request) -> bool {
        let Some(token) = &self.token else { return true };
        let shown = request.headers().get(header::AUTHORIZATION);
        request.uri().path().starts_with("/-/")
            || shown.is_some_and(|shown| shown.as_bytes() == format!("Bearer {token}").as_bytes())
    }

    fn figures(&self) -> Figures {
        let figures = locked(&self.figures).clone();
        match &self.beside {
            // Figures that were set for the GPU win over those of the server beside.
            Some(rig) if figures.gpu.is_none() => figures.beside(rig),
            _ => figures,
        }
    }
}

async fn node_metrics(State(desk): State<Arc<Desk>>) -> Response {
    document(&desk.figures().node_metrics())
}

async fn v1_report(State(desk): State<Arc<Desk>>) -> Response {
    match serde_json::to_value(desk.figures().report()) {
        Ok(report) => document(&report),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn document(document: &Value) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.to_string()).into_response()
}
