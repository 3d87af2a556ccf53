//! What befalls the world: clients that submit and cancel, everything that goes wrong, and the peace after it.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::comfy::Network;
use super::{Happening, Heard, JobId, Request, SocketEvent, World, job};
use crate::fleet::Seen;

impl World {
    // What clients do.

    pub(super) fn submit(&mut self) {
        if !self.faulty {
            return;
        }
        let pause = self.rng.u64(50..6000);
        self.at(pause, Happening::Submit);
        if self.core.is_none() || self.store.fails(self.now) {
            return;
        }
        self.store.arrivals += 1;
        let now = self.clock();
        let job = job(&mut self.rng, self.store.arrivals, now);
        self.counts.jobs += 1;
        self.store.submit(job);
        self.look();
    }

    pub(super) fn cancel(&mut self) {
        if !self.faulty {
            return;
        }
        let pause = self.rng.u64(1000..20_000);
        self.at(pause, Happening::Cancel);
        let live: Vec<JobId> =
            self.store.ledger.waiting().chain(self.store.ledger.dispatched()).map(|job| job.id).collect();
        let now = self.clock();
        let Some(core) = self.core.as_mut().filter(|_| !live.is_empty()) else { return };
        let (job, (reply, _)) = (live[self.rng.usize(..live.len())], oneshot::channel());
        self.cancelled.insert(job);
        let only_pending = self.rng.bool();
        let request =
            if only_pending { Request::Remove { job, reply } } else { Request::Interrupt { job, reply } };
        core.take_up(request, &self.fleet, now);
        self.look();
    }

    // What goes wrong.

    pub(super) fn trouble(&mut self) {
        if !self.faulty {
            return;
        }
        let pause = self.rng.u64(500..30_000);
        self.at(pause, Happening::Trouble);
        let at = self.rng.usize(..self.comfies.len());
        let long = self.rng.u64(200..40_000);
        match self.rng.u8(..9) {
            0 => self.killed(),
            1 => {
                self.counts.restarts += 1;
                self.comfies[at].die();
                self.comfies[at].start();
                self.lose_socket(at);
            }
            2 => {
                self.counts.restarts += 1;
                self.comfies[at].die();
                self.lose_socket(at);
                self.at(long, Happening::Heal(at));
            }
            3 => {
                self.comfies[at].network = Network::Cut;
                if self.rng.bool() {
                    self.disconnect(at);
                }
                self.at(long, Happening::Heal(at));
            }
            4 => self.comfies[at].stuck_until = self.now + long,
            5 => self.disconnect(at),
            6 => self.store.fails_until = self.now + long,
            7 => self.store.mute_until = self.now + long,
            _ => {
                let order = self.rng.bool();
                self.drain(at, order);
            }
        }
    }

    /// Of a process that died we hear, as its connections break.
    pub(super) fn lose_socket(&mut self, at: usize) {
        let backend = self.comfies[at].id.clone();
        self.observe(at, Seen::SocketClosed);
        self.hear(SocketEvent { backend, heard: Heard::Closed });
    }

    pub(super) fn drain(&mut self, at: usize, drains: bool) {
        let since = drains.then(|| self.clock());
        let id = self.comfies[at].id.clone();
        let slot = self.fleet.backends.iter_mut().find(|backend| backend.id == id);
        slot.into_iter().for_each(|backend| Arc::make_mut(backend).draining_since = since);
    }

    pub(super) fn make_peace(&mut self) {
        for at in 0..self.comfies.len() {
            self.comfies[at].network = Network::Fine;
            self.comfies[at].stuck_until = 0;
            self.comfies[at].start();
            self.drain(at, false);
        }
        self.store.fails_until = 0;
        self.store.mute_until = 0;
        self.awake();
    }
}
