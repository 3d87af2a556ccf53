//! (fleet, order) → fleet: what an operator changes, where observations change the rest. Pure.

use std::sync::Arc;

use super::{Backend, Fleet};
use crate::clock::UnixMillis;
use crate::id::BackendId;

/// What is to become of the fleet. One about a backend that is not in it changes nothing.
#[derive(Debug)]
pub enum Order {
    /// One that is there already stays as it is.
    Add(Box<Backend>),
    Remove(BackendId),
    /// It gets no new job from then on; what it runs goes on.
    Drain {
        backend: BackendId,
        since: UnixMillis,
    },
    Resume(BackendId),
    /// The same ComfyUI is described otherwise: its address' password, its agent's address, its tags.
    Describe(Box<Backend>),
}

pub(super) fn obey(fleet: &Fleet, order: Order) -> Fleet {
    let mut after = fleet.clone();
    match order {
        Order::Add(backend) if fleet.get(&backend.id).is_none() => {
            after.backends.push(Arc::from(backend));
            after.renew_union();
        }
        Order::Add(_) => {}
        Order::Remove(id) => {
            after.backends.retain(|backend| backend.id != id);
            after.renew_union();
        }
        Order::Drain { backend, since } => after.change(&backend, |slot| slot.draining_since = Some(since)),
        Order::Resume(id) => after.change(&id, |slot| slot.draining_since = None),
        Order::Describe(fresh) => after.change(&fresh.id.clone(), |slot| {
            (slot.url, slot.agent_url, slot.tags) = (fresh.url, fresh.agent_url, fresh.tags);
        }),
    }
    after
}

impl Fleet {
    fn change(&mut self, id: &BackendId, change: impl FnOnce(&mut Backend)) {
        if let Some(slot) = self.backends.iter_mut().find(|backend| backend.id == *id) {
            change(Arc::make_mut(slot));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str) -> Backend {
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        Backend::new(name.parse().unwrap(), url.clone(), url)
    }

    fn names(fleet: &Fleet) -> Vec<&str> {
        fleet.backends.iter().map(|backend| backend.id.as_str()).collect()
    }

    #[test]
    fn backends_come_and_go_and_one_that_is_there_is_not_replaced() {
        let fleet = Fleet::of([backend("a")]);
        let drained = obey(&fleet, Order::Drain { backend: "a".parse().unwrap(), since: UnixMillis(7) });
        let fleet = obey(&drained, Order::Add(Box::new(backend("a"))));
        assert_eq!(fleet.backends[0].draining_since, Some(UnixMillis(7)));
        let fleet = obey(&fleet, Order::Add(Box::new(backend("b"))));
        assert_eq!(names(&fleet), ["a", "b"]);
        let fleet = obey(&fleet, Order::Remove("a".parse().unwrap()));
        assert_eq!(names(&fleet), ["b"]);
    }

    #[test]
    fn what_is_known_of_a_backend_stays_when_it_is_described_otherwise() {
        let fleet = Fleet::of([backend("a")]);
        let drained = obey(&fleet, Order::Drain { backend: "a".parse().unwrap(), since: UnixMillis(7) });
        let agent_url: url::Url = "http://127.0.0.1:9".parse().unwrap();
        let fresh = Backend { agent_url: agent_url.clone(), ..backend("a") };
        let fleet = obey(&drained, Order::Describe(Box::new(fresh)));
        assert_eq!(
            (&fleet.backends[0].agent_url, fleet.backends[0].draining_since),
            (&agent_url, Some(UnixMillis(7)))
        );
    }

    #[test]
    fn an_order_about_a_stranger_changes_nothing() {
        let fleet = Fleet::of([backend("a")]);
        let stranger = || "x".parse().unwrap();
        for order in [
            Order::Drain { backend: stranger(), since: UnixMillis(7) },
            Order::Resume(stranger()),
            Order::Remove(stranger()),
            Order::Describe(Box::new(backend("x"))),
        ] {
            let after = obey(&fleet, order);
            assert_eq!((names(&after), after.backends[0].draining_since), (vec!["a"], None));
        }
    }
}
