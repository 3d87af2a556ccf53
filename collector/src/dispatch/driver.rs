//! The one task that owns dispatch's core. It waits for anything to happen, tells the core, and does what that says.
//! What wakes it says only "look".

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::{JoinError, JoinSet};
use tokio_util::sync::CancellationToken;

use super::act::Act;
use super::board::View;
use super::core::{Core, Request};
use super::done::Done;
use super::kept::Kept;
use super::perform::perform;
use super::step::Settings;
use super::tools::Tools;
use super::usage::Usage;
use crate::event::Hub;
use crate::fleet::Fleet;
use crate::metrics::Metrics;
use crate::poll::SocketEvent;
use crate::queue::Ledger;
use crate::tenant::Tenants;
use crate::{lifecycle, limits};

/// The longest time without a look: what becomes due by time alone is late by no more.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How others reach the driver.
#[derive(Clone)]
pub struct Dispatch {
    pub requests: mpsc::Sender<Request>,
    pub view: watch::Receiver<Arc<View>>,
}

struct Driver {
    core: Core,
    tools: Arc<Tools>,
    settings: watch::Receiver<Settings>,
    fleet: watch::Receiver<Arc<Fleet>>,
    ledger: watch::Receiver<Arc<Ledger>>,
    tenants: watch::Receiver<Arc<Tenants>>,
    hub: Arc<Hub>,
    under_way: JoinSet<Done>,
    publish: watch::Sender<Arc<View>>,
    stop: CancellationToken,
}

/// What [`start`] is given; `run.rs` has it all.
pub struct Parts {
    pub queue: crate::queue::Queue,
    pub files: Arc<crate::files::Files>,
    pub clients: crate::clients::Clients,
    pub client_id: crate::id::ClientId,
    pub clock: crate::clock::Clock,
    pub kept: Kept,
    pub usage: Usage,
    pub tenants: watch::Receiver<Arc<Tenants>>,
    pub settings: watch::Receiver<Settings>,
    pub fleet: watch::Receiver<Arc<Fleet>>,
    pub hub: Arc<Hub>,
    pub metrics: Arc<Metrics>,
    pub heard: mpsc::Receiver<SocketEvent>,
    pub stop: CancellationToken,
}

pub fn start(parts: Parts) -> Dispatch {
    let (requests, incoming) = mpsc::channel(limits::REQUESTS);
    let (publish, view) = watch::channel(Arc::default());
    let Parts { queue, files, clients, client_id, clock, kept, usage, tenants, settings, fleet, hub, .. } =
        parts;
    let (metrics, heard, stop) = (parts.metrics, parts.heard, parts.stop);
    let ledger = queue.ledger();
    let core = Core::of(&ledger.borrow(), kept, usage, *settings.borrow(), metrics, clock.now());
    let tools = Arc::new(Tools { queue, files, clients, delivered: Default::default(), client_id, clock });
    let driver = Driver {
        core,
        tools,
        settings,
        fleet,
        ledger,
        tenants,
        hub,
        under_way: JoinSet::new(),
        publish,
        stop,
    };
    lifecycle::vital("dispatch", driver.stop.clone(), driver.run(heard, incoming));
    Dispatch { requests, view }
}

impl Driver {
    async fn run(mut self, mut heard: mpsc::Receiver<SocketEvent>, mut requests: mpsc::Receiver<Request>) {
        let stop = self.stop.clone();
        let mut look = tokio::time::interval(LOOK_EVERY);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            let now = || self.tools.clock.now();
            let due = tokio::select! {
                () = stop.cancelled() => return self.finish().await,
                Some(event) = heard.recv() => self.core.hear(event, now()),
                Some(done) = self.under_way.join_next() => self.core.apply(done_or_lost(done), now()),
                Some(request) = requests.recv() => {
                    self.take_up(request);
                    while let Ok(another) = requests.try_recv() {
                        self.take_up(another);
                    }
                    true
                }
                Ok(()) = self.ledger.changed() => true,
                Ok(()) = self.fleet.changed() => true,
                _ = look.tick() => true,
            };
            if due {
                self.step();
            }
            self.act();
        }
    }

    /// What is under way is brought to its end, so that as little as can be is in doubt at the next start; nothing new begins.
    async fn finish(mut self) {
        let finished = async {
            while let Some(done) = self.under_way.join_next().await {
                self.core.apply(done_or_lost(done), self.tools.clock.now());
                self.act();
            }
        };
        if tokio::time::timeout(limits::STOP_WITHIN, finished).await.is_err() {
            tracing::warn!("some backends did not answer in time; the next start looks their jobs up");
        }
    }

    fn take_up(&mut self, request: Request) {
        self.core.take_up(request, &self.fleet.borrow(), self.tools.clock.now());
    }

    fn step(&mut self) {
        let (fleet, ledger) =
            (self.fleet.borrow_and_update().clone(), self.ledger.borrow_and_update().clone());
        self.core.go_by(*self.settings.borrow());
        self.core.grant(Arc::clone(&self.tenants.borrow()));
        let view = self.core.step(&fleet, &ledger, self.under_way.len(), self.tools.clock.now());
        self.publish.send_replace(Arc::new(view));
    }

    fn act(&mut self) {
        for act in self.core.take_acts() {
            self.do_now(act);
        }
    }

    fn do_now(&mut self, act: Act) {
        match act {
            Act::Begin(work) => drop(self.under_way.spawn(perform(Arc::clone(&self.tools), work))),
            Act::Tell { job, listener, event } => self.hub.tell(job, listener.as_ref(), event),
            Act::TellExecuting { job, listener, text } => {
                self.hub.tell_executing(job, listener.as_ref(), text)
            }
            Act::TellNoMore(job) => self.hub.forget(job),
            Act::TellEnd { job, listener, events } => {
                let remaining = self.ledger.borrow().len();
                self.hub.tell_end(job, listener.as_ref(), events, remaining);
            }
            Act::TellFewer => self.hub.ended(),
            Act::ForgetDelivered(backend) => self.tools.delivered.forget(&backend),
            Act::Halt => self.stop.cancel(),
        }
    }
}

/// Its attempt would be looked at by nobody any more; the next start looks at all of them.
fn done_or_lost(done: Result<Done, JoinError>) -> Done {
    done.unwrap_or_else(|error| {
        tracing::error!(%error, "a command was lost; stopping, so that the next start finds its job again");
        Done::Lost
    })
}
