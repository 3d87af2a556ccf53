//! How the fleet is known: one task a backend asks its HTTP routes, one its agent, one listens on its WebSocket.
//! They send observations and frames; they decide nothing and change nothing on a backend.

mod agent;
mod comfyui;
mod ear;
mod schedule;
mod socket;

use std::sync::Arc;

use ::comfyui::Client;
use reqwest::header::HeaderValue;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;

use self::ear::Ear;
pub use self::schedule::Intervals;
pub use self::socket::{Heard, SocketEvent};
use crate::clock::Clock;
use crate::fleet::owner::News;
use crate::fleet::{Observation, Seen};
use crate::id::{BackendId, ClientId};
use crate::metrics::Metrics;

/// What the tasks of one backend share.
#[derive(Clone)]
pub struct Poller {
    pub backend: BackendId,
    pub client: Client,
    /// At the agent's address; what it answers is no ComfyUI document, how it is asked is the same.
    pub agent: Client,
    /// What that agent is shown, and nobody else; debug output hides it.
    pub agent_authorization: Option<HeaderValue>,
    /// Our name on its WebSocket: only who submitted a prompt hears of it.
    pub client_id: ClientId,
    pub intervals: Intervals,
    pub observations: mpsc::Sender<News>,
    pub heard: mpsc::Sender<SocketEvent>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

impl Poller {
    /// Asks the ComfyUI, and listens to it.
    pub fn start(self) {
        let (stop, ear) = (self.stop.clone(), Arc::new(watch::Sender::new(Ear::default())));
        let poll = comfyui::poll(self.clone(), Arc::clone(&ear));
        tokio::spawn(stop.clone().run_until_cancelled_owned(poll));
        tokio::spawn(stop.run_until_cancelled_owned(socket::listen(self, ear)));
    }

    /// Asks the agent.
    pub fn start_agent(self) {
        tokio::spawn(self.stop.clone().run_until_cancelled_owned(agent::poll(self)));
    }

    /// False once nobody listens any more: the program is stopping.
    async fn observe(&self, seen: Seen) -> bool {
        let observation = Observation { backend: self.backend.clone(), at: self.clock.now(), seen };
        self.observations.send(News::Seen(observation)).await.is_ok()
    }
}
