//! Who listens: one socket a client name, as in ComfyUI, where a second connection of the same name silently takes
//! the first one's place. With tokens each has client names of its own: nobody takes another's place. Remembers where each
//! client's running jobs stand, for a client that comes back. Whoever watches a job hears what its client is told, whether
//! it has one or not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::ws::Utf8Bytes;
use tokio::sync::watch;

use super::Event;
use super::channel::Channel;
use super::outbox::Overflow;
use super::previews::{Preview, Previews};
use crate::id::{ClientId, JobId};
use crate::job::Job;
use crate::limits;
use crate::metrics::Metrics;

pub struct Hub {
    state: Mutex<State>,
    ends: watch::Sender<()>,
    metrics: Arc<Metrics>,
}

#[derive(Default)]
struct State {
    sockets: HashMap<Listener, Arc<Channel>>,
    watchers: HashMap<JobId, Vec<Arc<Channel>>>,
    /// The last `executing` of each running job.
    executing: HashMap<JobId, (Option<Listener>, Utf8Bytes)>,
    previews: Previews,
    /// Those that were replaced and are still open, too.
    connections: usize,
}

/// Who is told of a job: the name under which a client listens, and whose token it shows, if there are tokens.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Listener {
    pub owner: Option<String>,
    pub client: ClientId,
}

impl Listener {
    /// Who hears of this job; `None`: nobody by itself.
    pub fn of(job: &Job) -> Option<Self> {
        let client = job.client_id.clone()?;
        Some(Self { owner: job.owner.clone(), client })
    }
}

/// The receiving half; when it is dropped the client is gone.
pub struct Subscription {
    hub: Arc<Hub>,
    listener: Listener,
    channel: Arc<Channel>,
}

/// The receiving half of one who watches a job. The API bounds how many there are.
pub struct Watcher {
    hub: Arc<Hub>,
    job: JobId,
    channel: Arc<Channel>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned map is still a map: nothing in here is left half-changed by a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Hub {
    pub fn new(metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), ends: watch::Sender::new(()), metrics })
    }

    /// `None` at the bound of sockets. The `first` event comes before all others, then where running jobs stand.
    pub fn subscribe(self: &Arc<Self>, listener: Listener, first: Event) -> Option<Subscription> {
        let channel = Arc::new(Channel::default());
        channel.push(first);
        let mut state = lock(&self.state);
        if state.connections >= limits::CLIENT_SOCKETS {
            return None;
        }
        for (_, text) in state.executing.values().filter(|(of, _)| of.as_ref() == Some(&listener)) {
            channel.push(Event::heavy(text.clone()));
        }
        // The one before it stays open and hears nothing more, as in ComfyUI.
        state.sockets.insert(listener.clone(), Arc::clone(&channel));
        state.connections += 1;
        self.metrics.client_sockets.set(state.connections as i64);
        drop(state);
        Some(Subscription { hub: Arc::clone(self), listener, channel })
    }

    /// Where the job stands comes first, if it runs.
    pub fn watch(self: &Arc<Self>, job: JobId) -> Watcher {
        let channel = Arc::new(Channel::default());
        let mut state = lock(&self.state);
        if let Some((_, text)) = state.executing.get(&job) {
            channel.push(Event::heavy(text.clone()));
        }
        state.watchers.entry(job).or_default().push(Arc::clone(&channel));
        Watcher { hub: Arc::clone(self), job, channel }
    }

    /// Of a job: to its client, if that listens, and to those who watch it.
    pub fn tell(&self, job: JobId, listener: Option<&Listener>, event: Event) {
        let mut state = lock(&self.state);
        if let Some(frame) = event.picture() {
            state.previews.keep(job, frame);
        }
        let socket = listener.and_then(|listener| state.sockets.get(listener)).cloned();
        let watchers = state.watchers.get(&job).cloned().unwrap_or_default();
        drop(state);
        for channel in watchers.into_iter().chain(socket) {
            self.count(channel.push(event.clone()));
        }
    }

    /// The last events of a job. Its client hears before the very last one how many jobs are left, as in ComfyUI.
    pub fn tell_end(&self, job: JobId, listener: Option<&Listener>, events: Vec<Event>, remaining: usize) {
        let last = events.len().saturating_sub(1);
        for (at, event) in events.into_iter().enumerate() {
            if at == last {
                let socket = listener.and_then(|listener| lock(&self.state).sockets.get(listener).cloned());
                socket.into_iter().for_each(|socket| self.count(socket.push(Event::status(remaining, None))));
            }
            self.tell(job, listener, event);
        }
        self.ended();
    }

    /// A job is over, and whoever had to be told has been.
    pub fn ended(&self) {
        self.ends.send_replace(());
    }

    /// Changes whenever a job is over for its client, too.
    pub fn ends(&self) -> watch::Receiver<()> {
        self.ends.subscribe()
    }

    pub fn tell_all(&self, event: &Event) {
        let sockets: Vec<_> = lock(&self.state).sockets.values().cloned().collect();
        sockets.into_iter().for_each(|socket| self.count(socket.push(event.clone())));
    }

    /// Tells that a job works on a node now, and remembers it until [`Hub::forget`].
    pub fn tell_executing(&self, job: JobId, listener: Option<&Listener>, text: Utf8Bytes) {
        lock(&self.state).executing.insert(job, (listener.cloned(), text.clone()));
        self.tell(job, listener, Event::heavy(text));
    }

    pub fn forget(&self, job: JobId) {
        let mut state = lock(&self.state);
        state.executing.remove(&job);
        state.previews.forget(job);
    }

    /// The newest picture of the job's unfinished result.
    pub fn preview(&self, job: JobId) -> Option<Preview> {
        lock(&self.state).previews.of(job).cloned()
    }

    /// The number of the newest one of each of these that has any.
    pub fn preview_numbers<'a>(&self, jobs: impl IntoIterator<Item = &'a JobId>) -> HashMap<JobId, u64> {
        let state = lock(&self.state);
        jobs.into_iter().filter_map(|job| Some((*job, state.previews.of(*job)?.number))).collect()
    }

    fn count(&self, overflow: Overflow) {
        match overflow {
            Overflow::None => {}
            Overflow::Dropped => self.metrics.events_dropped.inc(),
            Overflow::Full => self.metrics.slow_clients.inc(),
        }
    }
}

impl Subscription {
    /// The next event in order; `None` once the client is too slow to be served. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.channel.next().await
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut state = lock(&self.hub.state);
        let is_mine = state.sockets.get(&self.listener).is_some_and(|now| Arc::ptr_eq(now, &self.channel));
        if is_mine {
            state.sockets.remove(&self.listener);
        }
        state.connections = state.connections.saturating_sub(1);
        self.hub.metrics.client_sockets.set(state.connections as i64);
    }
}

impl Watcher {
    /// The next event in order; `None` once it was too slow and has lost some. Cancel-safe.
    pub async fn next(&mut self) -> Option<Event> {
        self.channel.next().await
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        let mut state = lock(&self.hub.state);
        let Some(watchers) = state.watchers.get_mut(&self.job) else { return };
        watchers.retain(|channel| !Arc::ptr_eq(channel, &self.channel));
        if watchers.is_empty() {
            state.watchers.remove(&self.job);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hub() -> Arc<Hub> {
        Hub::new(Arc::new(Metrics::new().unwrap()))
    }

    fn listener(owner: Option<&str>) -> Listener {
        Listener { owner: owner.map(str::to_owned), client: ClientId::new("me") }
    }

    #[tokio::test]
    async fn a_second_connection_of_the_same_name_takes_the_first_ones_place() {
        let (hub, client) = (hub(), listener(None));
        let mut first = hub.subscribe(client.clone(), Event::heavy("hello 1")).unwrap();
        let mut second = hub.subscribe(client.clone(), Event::heavy("hello 2")).unwrap();
        hub.tell(JobId::random(), Some(&client), Event::heavy("news"));
        assert_eq!(first.next().await, Some(Event::heavy("hello 1")));
        assert_eq!(second.next().await, Some(Event::heavy("hello 2")));
        assert_eq!(second.next().await, Some(Event::heavy("news")));
        drop(first);
        hub.tell(JobId::random(), Some(&client), Event::heavy("more"));
        assert_eq!(
            second.next().await,
            Some(Event::heavy("more")),
            "the older one's end takes nothing from it"
        );
    }

    #[tokio::test]
    async fn the_same_name_behind_another_token_is_another_client() {
        let (hub, anna, bob) = (hub(), listener(Some("anna")), listener(Some("bob")));
        hub.tell_executing(JobId::random(), Some(&anna), "node 3".into());
        let mut annas = hub.subscribe(anna.clone(), Event::heavy("hello")).unwrap();
        let mut bobs = hub.subscribe(bob, Event::heavy("hello")).unwrap();
        hub.tell(JobId::random(), Some(&anna), Event::heavy("news"));
        hub.tell_all(&Event::heavy("for all"));
        for expected in ["hello", "node 3", "news", "for all"] {
            assert_eq!(annas.next().await, Some(Event::heavy(expected)));
        }
        for expected in ["hello", "for all"] {
            assert_eq!(bobs.next().await, Some(Event::heavy(expected)));
        }
    }

    #[tokio::test]
    async fn a_client_that_comes_back_hears_where_its_job_stands() {
        let (hub, client, job) = (hub(), listener(None), JobId::random());
        hub.tell_executing(job, Some(&client), "node 3".into());
        let mut back = hub.subscribe(client.clone(), Event::heavy("status")).unwrap();
        assert_eq!(back.next().await, Some(Event::heavy("status")));
        assert_eq!(back.next().await, Some(Event::heavy("node 3")));
        hub.forget(job);
        let mut again = hub.subscribe(client.clone(), Event::heavy("status")).unwrap();
        again.next().await;
        hub.tell(job, Some(&client), Event::heavy("later"));
        assert_eq!(again.next().await, Some(Event::heavy("later")));
    }

    #[tokio::test]
    async fn a_job_without_a_client_can_be_watched_from_where_it_stands() {
        let (hub, job) = (hub(), JobId::random());
        hub.tell(job, None, Event::heavy("before"));
        hub.tell_executing(job, None, "node 3".into());
        let (mut one, mut other) = (hub.watch(job), hub.watch(job));
        drop(hub.watch(job));
        hub.tell(job, None, Event::light("progress"));
        hub.tell(JobId::random(), None, Event::heavy("another's"));
        hub.tell(job, None, Event::heavy("end"));
        for watcher in [&mut one, &mut other] {
            for expected in [Event::heavy("node 3"), Event::light("progress"), Event::heavy("end")] {
                assert_eq!(watcher.next().await, Some(expected));
            }
        }
        drop((one, other));
        assert!(lock(&hub.state).watchers.is_empty());
    }
}
