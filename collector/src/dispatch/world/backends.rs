//! What backends do, and what polling and sockets tell of it.

use std::sync::Arc;

use comfyui::Message;

use super::comfy::{self, Exception, Network};
use super::{Happening, World};
use crate::fleet::{Backlog, Catalog, Failure, Observation, Seen, apply};
use crate::id::JobId;
use crate::poll::{Heard, SocketEvent};

impl World {
    pub(super) fn observe(&mut self, at: usize, seen: Seen) {
        let observation = Observation { backend: self.comfies[at].id.clone(), at: self.clock(), seen };
        self.fleet = apply(&self.fleet, observation).0;
    }

    pub(super) fn poll(&mut self, at: usize) {
        if self.core.is_none() {
            return;
        }
        let comfy = &self.comfies[at];
        if comfy.answers(self.now) {
            let total = (comfy.pending.len() + comfy.running.iter().len()) as u64;
            self.observe(at, Seen::Backlog(Backlog { total, foreign: Some(0) }));
            self.observe(at, Seen::Catalog(catalog()));
        } else {
            let refused = comfy.process.is_none() && comfy.network == Network::Fine;
            self.observe(at, Seen::Failed(Failure { refused, reason: "it does not answer".into() }));
        }
        self.look();
    }

    pub(super) fn connect(&mut self, at: usize) {
        let (now, awake) = (self.now, self.core.is_some());
        let comfy = &mut self.comfies[at];
        if comfy.socket.is_some() || !awake || !comfy.answers(now) {
            return;
        }
        comfy.sockets += 1;
        comfy.socket = Some(comfy.sockets);
        let backend = comfy.id.clone();
        self.observe(at, Seen::SocketOpened);
        self.hear(SocketEvent { backend, heard: Heard::Opened });
    }

    pub(super) fn disconnect(&mut self, at: usize) {
        if self.comfies[at].socket.take().is_some() {
            let backend = self.comfies[at].id.clone();
            self.observe(at, Seen::SocketClosed);
            self.hear(SocketEvent { backend, heard: Heard::Closed });
        }
    }

    // What backends do.

    pub(super) fn work(&mut self, at: usize) {
        let now = self.now;
        if self.comfies[at].process.is_none() || self.comfies[at].stuck_until > now {
            return;
        }
        for (job, attempt) in std::mem::take(&mut self.comfies[at].inbox) {
            self.deliver(at, job, attempt);
        }
        let fails = self.faulty && self.rng.u8(..) < 6;
        let fails = fails.then(|| Exception::ALL[self.rng.usize(..Exception::ALL.len())]);
        let running = self.comfies[at].running.as_ref().map(|prompt| prompt.job);
        for message in self.comfies[at].work(fails) {
            if let (Some(job), Message::Executing(executing)) = (running, &message)
                && executing.node.is_none()
            {
                let kept =
                    if self.comfies[at].has_made(job) { &mut self.succeeded } else { &mut self.failed };
                kept.insert(job);
            }
            self.send(at, message);
        }
    }

    pub(super) fn send(&mut self, at: usize, message: Message) {
        let delay = self.delay();
        let (now, comfy) = (self.now, &mut self.comfies[at]);
        let Some(socket) = comfy.socket.filter(|_| comfy.network == Network::Fine) else { return };
        comfy.arrives_at = comfy.arrives_at.max(now + delay);
        let after = comfy.arrives_at - now;
        self.at(after, Happening::Frame(at, socket, Box::new(comfy::frame(message))));
    }

    /// A prompt arrives at a process that lives.
    pub(super) fn deliver(&mut self, at: usize, job: JobId, attempt: u32) -> String {
        self.check_delivery(at, job);
        self.counts.attempts += 1;
        self.comfies[at].take(job, attempt)
    }
}

fn catalog() -> Arc<Catalog> {
    let classes = serde_json::from_value(serde_json::json!({ "C": {} })).unwrap();
    Arc::new(Catalog::new(classes, [0; 32]))
}
