//! Who listens: one socket a client name, as in ComfyUI, where a second connection of the same name silently takes
//! the first one's place. Remembers where each client's running jobs stand, for a client that comes back.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::Notify;

use super::Event;
use super::outbox::{Outbox, Overflow};
use crate::id::{ClientId, JobId};
use crate::limits;
use crate::metrics::Metrics;

pub struct Hub {
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    sockets: HashMap<ClientId, Arc<Socket>>,
    /// The last `executing` of each running job.
    executing: HashMap<JobId, (ClientId, Utf8Bytes)>,
    /// Those that were replaced and are still open, too.
    connections: usize,
}

/// The sending half of one client's connection.
#[derive(Default)]
struct Socket {
    outbox: Mutex<Outbox>,
    /// Something is to be sent, or the socket is to be closed.
    stirred: Notify,
    closed: AtomicBool,
}

/// The receiving half; when it is dropped the client is gone.
pub struct Subscription {
    hub: Arc<Hub>,
    client: ClientId,
    socket: Arc<Socket>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned map is still a map: nothing in here is left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), metrics })
    }

    /// `None` at the bound of sockets. The `first` event comes before all others, then where running jobs stand.
    pub fn subscribe(self: &Arc<Self>, client: &ClientId, first: Event) -> Option<Subscription> {
        let socket = Arc::new(Socket::default());
        socket.push(first);
        let mut state = lock(&self.state);
        if state.connections >= limits::CLIENT_SOCKETS {
            return None;
        }
        for (_, text) in state.executing.values().filter(|(owner, _)| owner == client) {
            socket.push(Event::heavy(text.clone()));
        }
        // The one before it stays open and hears nothing more, as in ComfyUI.
        state.sockets.insert(client.clone(), Arc::clone(&socket));
        state.connections += 1;
        self.metrics.client_sockets.set(state.connections as i64);
        drop(state);
        Some(Subscription { hub: Arc::clone(self), client: client.clone(), socket })
    }

    /// To one client, if it listens.
    pub fn tell(&self, client: &ClientId, event: Event) {
        let socket = lock(&self.state).sockets.get(client).cloned();
        if let Some(socket) = socket {
            self.count(socket.push(event));
        }
    }

    pub fn tell_all(&self, event: &Event) {
        let sockets: Vec<_> = lock(&self.state).sockets.values().cloned().collect();
        sockets.into_iter().for_each(|socket| self.count(socket.push(event.clone())));
    }

    /// Tells that a job works on a node now, and remembers it until [`Hub::forget`].
    pub fn tell_executing(&self, client: &ClientId, job: JobId, text: Utf8Bytes) {
        lock(&self.state).executing.insert(job, (client.clone(), text.clone()));
        self.tell(client, Event::heavy(text));
    }

    pub fn forget(&self, job: JobId) {
        lock(&self.state).executing.remove(&job);
    }

    fn count(&self, overflow: Overflow) {
        match overflow {
            Overflow::None => {}
            Overflow::Dropped => self.metrics.events_dropped.inc(),
            Overflow::Full => self.metrics.slow_clients.inc(),
        }
    }
}

impl Socket {
    /// Says `Full` once; what comes after that is not kept.
    fn push(&self, event: Event) -> Overflow {
        if self.closed.load(Ordering::Relaxed) {
            return Overflow::None;
        }
        let overflow = lock(&self.outbox).push(event);
        if overflow == Overflow::Full {
            self.closed.store(true, Ordering::Relaxed);
        }
        self.stirred.notify_one();
        overflow
    }
}

impl Subscription {
    /// The next event in order; `None` once the client is too slow to be served. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if self.socket.closed.load(Ordering::Relaxed) {
                return None;
            }
            if let Some(event) = lock(&self.socket.outbox).pop() {
                return Some(event);
            }
            self.socket.stirred.notified().await;
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = lock(&self.hub.state);
        let is_mine = state.sockets.get(&self.client).is_some_and(|now| Arc::ptr_eq(now, &self.socket));
        if is_mine {
            state.sockets.remove(&self.client);
        }
        state.connections = state.connections.saturating_sub(1);
        self.hub.metrics.client_sockets.set(state.connections as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<Hub> {
        Hub::new(Arc::new(Metrics::new().unwrap()))
    }

    #[tokio::test]
    async fn a_second_connection_of_the_same_name_takes_the_first_ones_place() {
        let (hub, client) = (hub(), ClientId::new("me"));
        let mut first = hub.subscribe(&client, Event::heavy("hello 1")).unwrap();
        let mut second = hub.subscribe(&client, Event::heavy("hello 2")).unwrap();
        hub.tell(&client, Event::heavy("news"));
        assert_eq!(first.next().await, Some(Event::heavy("hello 1")));
        assert_eq!(second.next().await, Some(Event::heavy("hello 2")));
        assert_eq!(second.next().await, Some(Event::heavy("news")));
        drop(first);
        hub.tell(&client, Event::heavy("more"));
        assert_eq!(
            second.next().await,
            Some(Event::heavy("more")),
            "the older one's end takes nothing from it"
        );
    }

    #[tokio::test]
    async fn a_client_that_comes_back_hears_where_its_job_stands() {
        let (hub, client, job) = (hub(), ClientId::new("me"), JobId::random());
        hub.tell_executing(&client, job, "node 3".into());
        let mut back = hub.subscribe(&client, Event::heavy("status")).unwrap();
        assert_eq!(back.next().await, Some(Event::heavy("status")));
        assert_eq!(back.next().await, Some(Event::heavy("node 3")));
        hub.forget(job);
        let mut again = hub.subscribe(&client, Event::heavy("status")).unwrap();
        again.next().await;
        hub.tell(&client, Event::heavy("later"));
        assert_eq!(again.next().await, Some(Event::heavy("later")));
    }
}
