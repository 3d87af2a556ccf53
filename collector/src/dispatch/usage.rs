//! Whose jobs have how much of the fleet: what each owner may have, what its ended jobs had, and what it has now.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use super::track::Track;
use crate::clock::UnixMillis;
use crate::limits;
use crate::queue::{Store, StoreError, Use};
use crate::tenant::{Accounts, GpuTime, Tenants, Used};

#[derive(Clone, Debug, Default)]
pub struct Usage {
    pub(super) tenants: Arc<Tenants>,
    /// By owner, of jobs that have ended.
    used: HashMap<String, Used>,
}

/// What is remembered of the longest window that there may be.
pub async fn load(store: &dyn Store, now: UnixMillis) -> Result<Usage, StoreError> {
    let mut usage = Usage::default();
    for Use { owner, from, to } in store.uses_since(now.before(*limits::GPU_WINDOW.end())).await? {
        usage.add(&owner, from, to);
    }
    Ok(usage)
}

impl Usage {
    /// A job that has ended had a backend in this time.
    pub(super) fn add(&mut self, owner: &str, from: UnixMillis, to: UnixMillis) {
        self.used.entry(owner.to_owned()).or_default().add(from, to);
    }

    /// A job whose backend can take another already runs no more, but its time counts until it has ended.
    pub(super) fn accounts<'a>(
        &self,
        tracks: impl Iterator<Item = &'a Track> + Clone,
        now: UnixMillis,
    ) -> Accounts {
        let mut running: HashMap<String, usize> = HashMap::new();
        let occupying = tracks.clone().filter(|track| !track.is_released());
        for owner in occupying.filter_map(|track| track.job.owner.as_ref()) {
            *running.entry(owner.clone()).or_default() += 1;
        }
        let used = self.tenants.gpu_times().map(|(owner, GpuTime { window, .. })| {
            let of_owner = tracks.clone().filter(|track| track.job.owner.as_deref() == Some(owner));
            let so_far: Duration = of_owner.map(|track| (now - track.dispatched_at).min(window)).sum();
            let ended = self.used.get(owner).map(|used| used.within(window, now)).unwrap_or_default();
            (owner.to_owned(), ended + so_far)
        });
        let used = used.collect();
        Accounts::new(Arc::clone(&self.tenants), running, used)
    }
}
