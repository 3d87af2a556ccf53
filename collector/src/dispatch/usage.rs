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
        if self.used.len() > 2 * limits::TOKENS {
            self.used.retain(|owner, _| self.tenants.have(owner));
        }
        self.used.entry(owner.to_owned()).or_default().add(from, to);
    }

    /// `waits`: of whom a job waits; of others it need not be known what they have used. A job whose backend can take
    /// another already runs no more, but its time counts until it has ended.
    pub(super) fn accounts<'a>(
        &self,
        tracks: impl Iterator<Item = &'a Track>,
        waits: impl Fn(&str) -> bool,
        now: UnixMillis,
    ) -> Accounts {
        let (mut running, mut begun): (HashMap<String, usize>, HashMap<&str, Vec<UnixMillis>>) =
            Default::default();
        for (track, owner) in tracks.filter_map(|track| Some((track, track.job.owner.as_ref()?))) {
            *running.entry(owner.clone()).or_default() += usize::from(!track.is_released());
            begun.entry(owner).or_default().push(track.dispatched_at);
        }
        let used = |(owner, GpuTime { window, .. }): (&str, GpuTime)| {
            let so_far = begun.get(owner).into_iter().flatten().map(|at| (now - *at).min(window));
            let ended = self.used.get(owner).map(|used| used.within(window, now)).unwrap_or_default();
            (owner.to_owned(), ended + so_far.sum::<Duration>())
        };
        let used = self.tenants.gpu_times().filter(|(owner, _)| waits(owner)).map(used).collect();
        Accounts::new(Arc::clone(&self.tenants), running, used)
    }
}
