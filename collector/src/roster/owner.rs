//! The one task that changes the roster: writes the change, then makes it so, then answers.

use std::collections::HashMap;
use std::sync::Arc;

use comfyui::Client;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::difference::{Anew, Difference, differences};
use super::{Members, Reply, Request, Roster, RosterError, SETTING};
use crate::address::without_password;
use crate::clients::ByBackend;
use crate::clock::Clock;
use crate::config::{self, Agents};
use crate::dispatch::{self, Dispatch};
use crate::fleet::Order;
use crate::fleet::owner::News;
use crate::id::{BackendId, ClientId};
use crate::metrics::Metrics;
use crate::poll::{Intervals, Poller, SocketEvent};
use crate::queue::{Queue, StoreError};
use crate::{lifecycle, limits};

/// What [`start`] is given; `run.rs` has it all.
pub struct Parts {
    pub members: Members,
    pub queue: Queue,
    pub dispatch: Dispatch,
    pub clients: watch::Sender<ByBackend>,
    pub http: reqwest::Client,
    pub polls: Polls,
}

/// How agents are asked.
pub struct AskAgents {
    pub agents: Agents,
    pub http: reqwest::Client,
}

/// What every backend's polls share.
pub struct Polls {
    pub agents: AskAgents,
    pub client_id: ClientId,
    pub intervals: Intervals,
    pub news: mpsc::Sender<News>,
    pub heard: mpsc::Sender<SocketEvent>,
    pub clock: Clock,
    pub metrics: Arc<Metrics>,
    pub stop: CancellationToken,
}

struct Owner {
    parts: Parts,
    polled: HashMap<BackendId, Polled>,
}

/// Ends a backend's polls, or those of its agent alone.
struct Polled {
    all: CancellationToken,
    agent: CancellationToken,
}

/// Starts the polls of all members, and the task.
pub fn start(parts: Parts) -> Result<Roster, RosterError> {
    let (requests, incoming) = mpsc::channel(limits::ROSTER_REQUESTS);
    let stop = parts.polls.stop.clone();
    let members: Vec<config::Backend> = parts.members.all().cloned().collect();
    let mut owner = Owner { parts, polled: HashMap::new() };
    for member in &members {
        owner.speak_to(member)?;
    }
    lifecycle::vital("roster", stop, owner.run(incoming));
    Ok(Roster(requests))
}

impl Owner {
    async fn run(mut self, mut requests: mpsc::Receiver<Request>) {
        while let Some(request) = requests.recv().await {
            match request {
                Request::Drain(backend, reply) => answer(reply, self.drain(&backend).await),
                Request::Resume(backend, reply) => answer(reply, self.resume(&backend).await),
                Request::Add(backend, reply) => answer(reply, self.add(backend).await),
                Request::Remove { backend, force, reply } => {
                    answer(reply, self.remove(&backend, force).await)
                }
                Request::Configure { backends, agents, reply } => {
                    answer(reply, self.configure(backends, agents).await)
                }
            }
        }
    }

    async fn drain(&mut self, id: &BackendId) -> Result<(), RosterError> {
        self.parts.members.knows(id)?;
        let mut after = self.parts.members.clone();
        let since = after.drain(id, self.parts.polls.clock.now());
        self.keep(after).await?;
        self.order(Order::Drain { backend: id.clone(), since }).await?;
        tracing::info!(backend = %id, "backend is drained: it gets no new job");
        Ok(())
    }

    async fn resume(&mut self, id: &BackendId) -> Result<(), RosterError> {
        self.parts.members.knows(id)?;
        let mut after = self.parts.members.clone();
        after.resume(id);
        self.keep(after).await?;
        self.order(Order::Resume(id.clone())).await?;
        tracing::info!(backend = %id, "backend gets jobs again");
        Ok(())
    }

    async fn add(&mut self, backend: config::Backend) -> Result<(), RosterError> {
        let mut after = self.parts.members.clone();
        after.add(backend.clone())?;
        // What cannot be spoken to is refused before it is kept.
        self.client(&backend)?;
        self.keep(after).await?;
        self.take_in(&backend).await?;
        tracing::info!(backend = %backend.id, url = %without_password(&backend.url), "backend was added");
        Ok(())
    }

    /// It may be one that was here before and is draining.
    async fn take_in(&mut self, backend: &config::Backend) -> Result<(), RosterError> {
        self.order(Order::Add(Box::new(self.parts.members.described(backend)))).await?;
        self.speak_to(backend)
    }

    async fn remove(&mut self, id: &BackendId, force: bool) -> Result<bool, RosterError> {
        self.parts.members.knows(id)?;
        let removed = self.try_remove(id, force).await;
        if removed.is_err() {
            let before = match self.parts.members.draining_since(id) {
                Some(since) => Order::Drain { backend: id.clone(), since },
                None => Order::Resume(id.clone()),
            };
            self.order(before).await?;
        }
        removed
    }

    async fn try_remove(&mut self, id: &BackendId, force: bool) -> Result<bool, RosterError> {
        if !force {
            self.holds_none(id).await?;
        }
        let mut after = self.parts.members.clone();
        let is_configured = after.remove(id);
        self.keep(after).await?;
        self.let_go(id).await?;
        tracing::info!(backend = %id, force, "backend was removed");
        Ok(is_configured)
    }

    async fn let_go(&mut self, id: &BackendId) -> Result<(), RosterError> {
        self.order(Order::Remove(id.clone())).await?;
        self.parts.clients.send_modify(|clients| drop(clients.remove(id)));
        if let Some(polls) = self.polled.remove(id) {
            polls.all.cancel();
        }
        Ok(())
    }

    /// What cannot be spoken to is refused before anything changes.
    async fn configure(
        &mut self,
        configured: Vec<config::Backend>,
        agents: AskAgents,
    ) -> Result<(), RosterError> {
        let after = self.parts.members.configured_as(configured)?;
        let (old, new): (Vec<_>, Vec<_>) =
            (self.parts.members.all().cloned().collect(), after.all().cloned().collect());
        new.iter().try_for_each(|backend| self.client(backend).map(drop))?;
        self.keep(after).await?;
        let ask_anew = self.parts.polls.agents.agents != agents.agents;
        self.parts.polls.agents = agents;
        for difference in differences(&old, &new) {
            self.follow(difference).await?;
        }
        if ask_anew {
            new.iter().try_for_each(|backend| self.ask_agent(backend))?;
        }
        Ok(())
    }

    async fn follow(&mut self, difference: Difference) -> Result<(), RosterError> {
        match difference {
            Difference::Gone(backend) => {
                self.let_go(&backend.id).await?;
                tracing::info!(backend = %backend.id, "backend is no longer configured");
            }
            Difference::New(backend) => {
                self.take_in(&backend).await?;
                tracing::info!(backend = %backend.id, url = %without_password(&backend.url), "backend is configured");
            }
            Difference::Changed { to, anew } => {
                self.order(Order::Describe(Box::new(self.parts.members.described(&to)))).await?;
                self.ask_anew(&to, anew)?;
                tracing::info!(backend = %to.id, "backend is configured otherwise");
            }
        }
        Ok(())
    }

    fn ask_anew(&mut self, backend: &config::Backend, anew: Anew) -> Result<(), RosterError> {
        match anew {
            Anew::Nothing => Ok(()),
            Anew::Agent => self.ask_agent(backend),
            Anew::Everything => {
                if let Some(polls) = self.polled.remove(&backend.id) {
                    polls.all.cancel();
                }
                self.speak_to(backend)
            }
        }
    }

    /// Refuses where a job is with it, or on its way to it. It is drained before dispatch is asked, so that none can
    /// come in between.
    async fn holds_none(&self, id: &BackendId) -> Result<(), RosterError> {
        let since = self.parts.polls.clock.now();
        self.order(Order::Drain { backend: id.clone(), since }).await?;
        let (reply, count) = oneshot::channel();
        let count_them = dispatch::Request::Count { backend: id.clone(), reply };
        self.parts.dispatch.requests.send(count_them).await.map_err(|_| RosterError::Stopping)?;
        let jobs = count.await.map_err(|_| RosterError::Stopping)?;
        if jobs > 0 { Err(RosterError::Busy { id: id.clone(), jobs }) } else { Ok(()) }
    }

    async fn keep(&mut self, after: Members) -> Result<(), RosterError> {
        let row = serde_json::to_string(after.saved());
        let row =
            row.map_err(|e| StoreError::Damaged { what: "the roster".into(), reason: e.to_string() })?;
        self.parts.queue.store().keep_setting(SETTING, &row).await?;
        self.parts.members = after;
        Ok(())
    }

    /// Returns once the fleet shows it.
    async fn order(&self, order: Order) -> Result<(), RosterError> {
        let (done, obeyed) = oneshot::channel();
        let news = News::Ordered(order, done);
        self.parts.polls.news.send(news).await.map_err(|_| RosterError::Stopping)?;
        obeyed.await.map_err(|_| RosterError::Stopping)
    }

    fn client(&self, backend: &config::Backend) -> Result<(Client, Client), RosterError> {
        let client = Client::with(self.parts.http.clone(), &backend.url)?;
        Ok((client, Client::with(self.parts.polls.agents.http.clone(), &backend.agent)?))
    }

    /// Dispatch and the API may use it from now on, and its polls begin.
    fn speak_to(&mut self, backend: &config::Backend) -> Result<(), RosterError> {
        let all = self.parts.polls.stop.child_token();
        let poller = self.poller(backend, all.clone())?;
        let (id, client) = (backend.id.clone(), poller.client.clone());
        self.parts.clients.send_modify(|clients| drop(clients.insert(id, client)));
        poller.start();
        self.polled.insert(backend.id.clone(), Polled { agent: all.child_token(), all });
        self.ask_agent(backend)
    }

    /// Asks its agent as it is to be asked now, and no longer as before.
    fn ask_agent(&mut self, backend: &config::Backend) -> Result<(), RosterError> {
        let Some(polled) = self.polled.get_mut(&backend.id) else { return Ok(()) };
        polled.agent.cancel();
        polled.agent = polled.all.child_token();
        let stop = polled.agent.clone();
        self.poller(backend, stop)?.start_agent();
        Ok(())
    }

    fn poller(&self, backend: &config::Backend, stop: CancellationToken) -> Result<Poller, RosterError> {
        let (client, agent) = self.client(backend)?;
        let Parts { members, polls, .. } = &self.parts;
        let all: Vec<config::Backend> = members.all().cloned().collect();
        Ok(Poller {
            backend: backend.id.clone(),
            client,
            agent,
            agent_authorization: polls.agents.agents.authorization(&backend.agent, &all).cloned(),
            client_id: polls.client_id.clone(),
            intervals: polls.intervals,
            observations: polls.news.clone(),
            heard: polls.heard.clone(),
            clock: polls.clock,
            metrics: Arc::clone(&polls.metrics),
            stop,
        })
    }
}

fn answer<T>(reply: Reply<T>, result: Result<T, RosterError>) {
    // Whoever asked may be gone; the change stands all the same.
    let _ = reply.send(result);
}
