//! How each backend is spoken to. The roster alone changes it; everybody else looks a client up when one is needed, and
//! keeps it no longer than that.

use std::collections::HashMap;

use comfyui::Client;
use tokio::sync::watch;

use crate::id::BackendId;

pub type ByBackend = HashMap<BackendId, Client>;

#[derive(Clone)]
pub struct Clients(watch::Receiver<ByBackend>);

impl Clients {
    pub fn of(clients: watch::Receiver<ByBackend>) -> Self {
        Self(clients)
    }

    /// `None`: no such backend, or none any more.
    pub fn get(&self, backend: &BackendId) -> Option<Client> {
        self.0.borrow().get(backend).cloned()
    }

    /// The only backend's, in a fleet of one.
    pub fn only(&self) -> Option<(BackendId, Client)> {
        let clients = self.0.borrow();
        clients.iter().next().filter(|_| clients.len() == 1).map(|(id, client)| (id.clone(), client.clone()))
    }
}
