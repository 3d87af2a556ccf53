//! (fleet, observation) → fleet. Pure.

use std::sync::Arc;

use super::{Backend, Catalog, Fleet, Observation, Read, Seen};

/// What an operator wants to read in the log.
#[derive(Debug, PartialEq)]
pub enum Change {
    Up,
    Down {
        reason: String,
    },
    /// It answers, but not what it offers, so it gets no job.
    CatalogUnreadable {
        reason: String,
    },
    AgentUp,
    AgentDown {
        reason: String,
    },
}

/// The fleet after `observation`, and the change of state in it, if it is one. An observation of a backend that is
/// not in the fleet changes nothing.
pub fn apply(fleet: &Fleet, observation: Observation) -> (Fleet, Option<Change>) {
    let Some(at) = fleet.backends.iter().position(|backend| backend.id == observation.backend) else {
        return (fleet.clone(), None);
    };
    let mut after = fleet.clone();
    let Some(slot) = after.backends.get_mut(at) else { return (after, None) };
    let before = Arc::clone(slot);
    let backend = see(fleet, &before, observation);
    let change = change_between(&before, &backend);
    let catalog_changed = sha256(&before) != sha256(&backend);
    *slot = Arc::new(backend);
    if catalog_changed {
        after.renew_union();
    }
    (after, change)
}

fn sha256(backend: &Backend) -> Option<[u8; 32]> {
    backend.catalog.as_deref().map(|catalog: &Catalog| catalog.sha256)
}

fn see(fleet: &Fleet, before: &Backend, observation: Observation) -> Backend {
    let at = observation.at;
    let mut backend = before.clone();
    match observation.seen {
        Seen::Backlog(value) => {
            backend.health = before.health.after_answer(at);
            backend.backlog = Some(Read { at, value });
        }
        Seen::Stats(stats) => backend.stats = Some(Read { at, value: Arc::from(stats) }),
        Seen::Catalog(catalog) => (backend.catalog, backend.catalog_problem) = (Some(catalog), None),
        Seen::CatalogUnreadable(reason) => backend.catalog_problem = Some(reason),
        Seen::Models(models) => backend.models = Some(models),
        Seen::SocketOpened => backend.socket_since = Some(at),
        Seen::SocketClosed => backend.socket_since = None,
        Seen::Failed(failure) => {
            backend.health = before.health.after_failure(&failure, at);
            if !backend.health.is_up() {
                // What it had is no longer known; what it offers is kept for validating prompts.
                (backend.backlog, backend.stats) = (None, None);
            }
        }
        Seen::Agent(figures) => {
            backend.agent_health = before.agent_health.after_answer(at);
            let value =
                if fleet.share_an_agent(before) { Arc::new(figures.without_process()) } else { figures };
            backend.agent = Some(Read { at, value });
        }
        Seen::AgentFailed(failure) => {
            backend.agent_health = before.agent_health.after_failure(&failure, at);
            if !backend.agent_health.is_up() {
                backend.agent = None;
            }
        }
    }
    backend
}

impl Fleet {
    fn share_an_agent(&self, backend: &Backend) -> bool {
        self.backends.iter().any(|other| other.id != backend.id && other.agent_url == backend.agent_url)
    }
}

fn change_between(before: &Backend, after: &Backend) -> Option<Change> {
    let reason = |health: &super::Health| health.reason.clone().unwrap_or_default();
    if !before.health.is_up() && after.health.is_up() {
        Some(Change::Up)
    } else if !before.health.is_down() && after.health.is_down() {
        Some(Change::Down { reason: reason(&after.health) })
    } else if let (None, Some(reason)) = (&before.catalog_problem, &after.catalog_problem) {
        Some(Change::CatalogUnreadable { reason: reason.clone() })
    } else if !before.agent_health.is_up() && after.agent_health.is_up() {
        Some(Change::AgentUp)
    } else if !before.agent_health.is_down() && after.agent_health.is_down() {
        Some(Change::AgentDown { reason: reason(&after.agent_health) })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMillis;
    use crate::fleet::figures::Process;
    use crate::fleet::{Backlog, Failure, Figures};

    fn fleet() -> Fleet {
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        Fleet::of([Backend::new("a".parse().unwrap(), url.clone(), url)])
    }

    fn observe(fleet: &Fleet, at: u64, seen: Seen) -> (Fleet, Option<Change>) {
        apply(fleet, Observation { backend: "a".parse().unwrap(), at: UnixMillis(at), seen })
    }

    fn refused() -> Failure {
        Failure { refused: true, reason: "connection refused".into() }
    }

    #[test]
    fn coming_up_and_going_down_are_each_told_once() {
        let answer = || Seen::Backlog(Backlog { total: 0, foreign: Some(0) });
        let (up, change) = observe(&fleet(), 1, answer());
        assert_eq!(change, Some(Change::Up));
        let (up, change) = observe(&up, 2, answer());
        assert_eq!(change, None);
        let (down, change) = observe(&up, 3, Seen::Failed(refused()));
        assert_eq!(change, Some(Change::Down { reason: "connection refused".into() }));
        assert_eq!(observe(&down, 4, Seen::Failed(refused())).1, None);
    }

    #[test]
    fn a_backend_that_is_down_from_the_start_is_told_as_down() {
        assert!(matches!(observe(&fleet(), 1, Seen::Failed(refused())).1, Some(Change::Down { .. })));
    }

    #[test]
    fn figures_of_a_backend_that_went_down_are_unknown_not_last_known() {
        let (up, _) = observe(&fleet(), 1, Seen::Backlog(Backlog { total: 3, foreign: Some(3) }));
        let (down, _) = observe(&up, 2, Seen::Failed(refused()));
        assert_eq!(down.backends[0].backlog, None);
        assert!(!down.backends[0].takes_jobs());
    }

    #[test]
    fn a_dead_agent_leaves_its_backend_usable() {
        let (up, _) = observe(&fleet(), 1, Seen::Backlog(Backlog::default()));
        let (after, change) = observe(&up, 2, Seen::AgentFailed(refused()));
        assert!(matches!(change, Some(Change::AgentDown { .. })));
        assert!(after.backends[0].health.is_up());
        assert_eq!(after.backends[0].agent, None);
    }

    #[test]
    fn of_an_agent_that_two_backends_share_it_is_not_known_whose_process_it_found() {
        let process = Process { start_time_seconds: 7.0, memory_bytes: None };
        let figures = || {
            let comfyui = Some(Read { at: UnixMillis(1), value: process });
            Seen::Agent(Arc::new(Figures { comfyui, ..Figures::default() }))
        };
        let told = |fleet: &Fleet| fleet.backends[0].agent.as_ref().unwrap().value.comfyui.is_some();
        let mut fleet = fleet();
        assert!(told(&observe(&fleet, 1, figures()).0));
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        fleet.backends.push(Arc::new(Backend::new("b".parse().unwrap(), url.clone(), url)));
        assert!(!told(&observe(&fleet, 1, figures()).0));
    }
}
