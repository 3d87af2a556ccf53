//! Which backends there are: those of the configuration, and what operators changed since, as the store keeps it. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::RosterError;
use crate::address::without_password;
use crate::clock::UnixMillis;
use crate::config::Backend;
use crate::fleet::{self, Fleet};
use crate::id::BackendId;
use crate::limits;

/// What is kept over restarts.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Saved {
    added: Vec<Backend>,
    draining: BTreeMap<BackendId, UnixMillis>,
}

#[derive(Clone, Debug)]
pub struct Members {
    configured: Vec<Backend>,
    /// Of the configured ones; they come back at the next start, unless the configuration has let go of them by then.
    removed: BTreeSet<BackendId>,
    saved: Saved,
}

impl Members {
    /// The configuration has the last word on the names and addresses that stand in it.
    pub(super) fn of(configured: Vec<Backend>, mut saved: Saved) -> Self {
        let clashes = |added: &Backend| configured.iter().any(|c| c.id == added.id || c.url == added.url);
        saved.added.retain(|added| !clashes(added));
        let mut members = Self { configured, removed: BTreeSet::new(), saved };
        let known: BTreeSet<BackendId> = members.all().map(|backend| backend.id.clone()).collect();
        members.saved.draining.retain(|id, _| known.contains(id));
        members
    }

    /// After the configuration was read again. What operators changed since the start stays, as far as it speaks of what
    /// there still is.
    pub(super) fn configured_as(&self, configured: Vec<Backend>) -> Result<Self, RosterError> {
        let removed = self.removed.iter().filter(|id| configured.iter().any(|backend| backend.id == **id));
        let removed = removed.cloned().collect();
        let after = Self { removed, ..Self::of(configured, self.saved.clone()) };
        if after.all().count() > limits::BACKENDS { Err(RosterError::Full) } else { Ok(after) }
    }

    pub(super) fn saved(&self) -> &Saved {
        &self.saved
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Backend> {
        let configured = self.configured.iter().filter(|backend| !self.removed.contains(&backend.id));
        configured.chain(&self.saved.added)
    }

    pub fn fleet(&self) -> Fleet {
        Fleet::of(self.all().map(|member| self.described(member)))
    }

    /// One of which nothing is known yet.
    pub(super) fn described(&self, member: &Backend) -> fleet::Backend {
        let Backend { id, url, agent, tags } = member.clone();
        let draining_since = self.draining_since(&id);
        fleet::Backend { tags, draining_since, ..fleet::Backend::new(id, url, agent) }
    }

    pub(super) fn draining_since(&self, id: &BackendId) -> Option<UnixMillis> {
        self.saved.draining.get(id).copied()
    }

    pub(super) fn knows(&self, id: &BackendId) -> Result<(), RosterError> {
        let known = self.all().any(|backend| backend.id == *id);
        known.then_some(()).ok_or_else(|| RosterError::Unknown(id.clone()))
    }

    pub(super) fn add(&mut self, backend: Backend) -> Result<(), RosterError> {
        if self.all().any(|known| known.id == backend.id) {
            return Err(RosterError::SameName(backend.id));
        }
        if let Some(known) = self.all().find(|known| known.url == backend.url) {
            let id = known.id.clone();
            return Err(RosterError::SameAddress { url: without_password(&backend.url), id });
        }
        if self.all().count() >= limits::BACKENDS {
            return Err(RosterError::Full);
        }
        // One that was removed and comes back as it is configured need not be remembered.
        match self.configured.contains(&backend) {
            true => drop(self.removed.remove(&backend.id)),
            false => self.saved.added.push(backend),
        }
        Ok(())
    }

    /// True for one of the configuration.
    pub(super) fn remove(&mut self, id: &BackendId) -> bool {
        let is_configured = self.configured.iter().any(|backend| backend.id == *id);
        if is_configured {
            self.removed.insert(id.clone());
        }
        self.saved.added.retain(|backend| backend.id != *id);
        self.saved.draining.remove(id);
        is_configured
    }

    /// Since the first time that it was asked for.
    pub(super) fn drain(&mut self, id: &BackendId, now: UnixMillis) -> UnixMillis {
        *self.saved.draining.entry(id.clone()).or_insert(now)
    }

    pub(super) fn resume(&mut self, id: &BackendId) {
        self.saved.draining.remove(id);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str, port: u16) -> Backend {
        let url: url::Url = format!("http://127.0.0.1:{port}").parse().unwrap();
        Backend {
            id: name.parse().unwrap(),
            url: url.clone(),
            agent: url,
            tags: ["t".parse().unwrap()].into(),
        }
    }

    fn names(members: &Members) -> Vec<String> {
        members.all().map(|backend| backend.id.to_string()).collect()
    }

    fn id(name: &str) -> BackendId {
        name.parse().unwrap()
    }

    /// As the next start finds them.
    fn restarted(members: &Members, configured: Vec<Backend>) -> Members {
        let row = serde_json::to_string(members.saved()).unwrap();
        Members::of(configured, serde_json::from_str(&row).unwrap())
    }

    #[test]
    fn what_was_added_and_drained_is_there_after_a_restart() {
        let mut members = Members::of(vec![backend("a", 1)], Saved::default());
        members.add(backend("b", 2)).unwrap();
        assert_eq!(members.drain(&id("b"), UnixMillis(5)), UnixMillis(5));
        assert_eq!(members.drain(&id("b"), UnixMillis(9)), UnixMillis(5), "since the first time");
        let again = restarted(&members, vec![backend("a", 1)]);
        assert_eq!(
            (names(&again), again.draining_since(&id("b"))),
            (vec!["a".into(), "b".into()], Some(UnixMillis(5)))
        );
        let mut members = again;
        assert!(!members.remove(&id("b")));
        let again = restarted(&members, vec![backend("a", 1)]);
        assert_eq!((names(&again), again.draining_since(&id("b"))), (vec!["a".to_owned()], None));
    }

    #[test]
    fn a_configured_one_that_was_removed_comes_back_at_the_next_start() {
        let mut members = Members::of(vec![backend("a", 1)], Saved::default());
        assert!(members.remove(&id("a")) && names(&members).is_empty());
        assert_eq!(names(&restarted(&members, vec![backend("a", 1)])), ["a"]);
        assert!(names(&restarted(&members, vec![])).is_empty());
        members.add(backend("a", 1)).unwrap();
        assert_eq!((names(&members), members.saved()), (vec!["a".to_owned()], &Saved::default()));
    }

    #[test]
    fn the_configuration_has_the_last_word_on_its_names_and_addresses() {
        let mut members = Members::of(vec![], Saved::default());
        members.add(backend("a", 1)).unwrap();
        members.add(backend("b", 2)).unwrap();
        let again = restarted(&members, vec![backend("a", 9), backend("c", 2)]);
        let urls: Vec<&str> = again.all().map(|backend| backend.url.as_str()).collect();
        assert_eq!(urls, ["http://127.0.0.1:9/", "http://127.0.0.1:2/"]);
    }

    #[test]
    fn one_comfyui_is_one_backend() {
        let mut members = Members::of(vec![backend("a", 1)], Saved::default());
        assert!(matches!(members.add(backend("a", 2)), Err(RosterError::SameName(_))));
        assert!(matches!(members.add(backend("b", 1)), Err(RosterError::SameAddress { .. })));
    }
}
