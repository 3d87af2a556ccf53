//! Tokens as tenants: what share of the fleet the jobs of each may have, and whether one more may begin now. Pure data; free
//! to all, as `id` and `clock` are.

mod used;

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

pub use self::used::Used;

/// What the jobs of one token may have.
#[derive(Clone, Debug, PartialEq)]
pub struct Allowance {
    /// Its share where there is not enough for all: twice the weight, twice the share.
    pub weight: f64,
    /// Jobs that may wait.
    pub max_waiting: Option<usize>,
    /// Jobs that may be with backends at a time.
    pub max_running: Option<usize>,
    pub gpu: Option<GpuTime>,
}

/// How long its jobs may have backends in any span as long as the window: from a job's dispatch to its end, counted to
/// the minute. One that runs counts as far as it has come, and is never stopped for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GpuTime {
    pub time: Duration,
    pub window: Duration,
}

/// Allowances by owner, as a snapshot.
#[derive(Clone, Debug, Default)]
pub struct Tenants(HashMap<String, Allowance>);

/// Why no more of an owner's jobs may begin now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exhausted {
    Running { limit: usize },
    Gpu(GpuTime),
}

/// What each owner may have and has, at one moment.
#[derive(Clone, Debug, Default)]
pub struct Accounts {
    tenants: Arc<Tenants>,
    /// Jobs with backends, by owner.
    running: HashMap<String, usize>,
    /// How long its jobs had backends within its window, of owners that have one.
    used: HashMap<String, Duration>,
}

impl Default for Allowance {
    fn default() -> Self {
        Self { weight: 1.0, max_waiting: None, max_running: None, gpu: None }
    }
}

impl Tenants {
    pub fn of(allowances: impl IntoIterator<Item = (String, Allowance)>) -> Self {
        Self(allowances.into_iter().collect())
    }

    /// `None`: whoever it is may have as much as there is.
    pub fn get(&self, owner: Option<&str>) -> Option<&Allowance> {
        self.0.get(owner?)
    }

    pub fn have(&self, owner: &str) -> bool {
        self.0.contains_key(owner)
    }

    /// Those that have a bound for GPU time.
    pub fn gpu_times(&self) -> impl Iterator<Item = (&str, GpuTime)> {
        self.0.iter().filter_map(|(owner, allowance)| Some((owner.as_str(), allowance.gpu?)))
    }
}

impl Accounts {
    pub fn new(
        tenants: Arc<Tenants>,
        running: HashMap<String, usize>,
        used: HashMap<String, Duration>,
    ) -> Self {
        Self { tenants, running, used }
    }

    /// Of an owner without a token any more, and where no tokens are asked for: 1.
    pub fn weight(&self, owner: Option<&str>) -> f64 {
        self.tenants.get(owner).map_or(1.0, |allowance| allowance.weight)
    }

    /// Why no job of this owner may begin now.
    pub fn exhausted(&self, owner: Option<&str>) -> Option<Exhausted> {
        let (owner, allowance) = (owner?, self.tenants.get(owner)?);
        let too_many = allowance.max_running.filter(|limit| self.running(owner) >= *limit);
        let too_long = allowance.gpu.filter(|gpu| self.used.get(owner).is_some_and(|used| *used >= gpu.time));
        too_long.map(Exhausted::Gpu).or(too_many.map(|limit| Exhausted::Running { limit }))
    }

    /// Why a job of this owner may have to wait for others of the same.
    pub fn bound(&self, owner: Option<&str>) -> Option<Exhausted> {
        let limit = self.tenants.get(owner).and_then(|allowance| allowance.max_running);
        self.exhausted(owner).or(limit.map(|limit| Exhausted::Running { limit }))
    }

    pub fn are_bounded(&self, owner: &str) -> bool {
        self.tenants.get(Some(owner)).is_some_and(|its| its.max_running.is_some() || its.gpu.is_some())
    }

    /// Whether what owners may have is what it was.
    pub fn are_of_the_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.tenants, &other.tenants)
    }

    /// How many more jobs may begin of the owners that may not begin as many as they like.
    pub fn left(&self) -> impl Iterator<Item = (&str, usize)> {
        self.tenants.0.iter().filter_map(|(owner, allowance)| {
            let left = match (self.exhausted(Some(owner)), allowance.max_running) {
                (Some(_), _) => 0,
                (None, limit) => limit?.saturating_sub(self.running(owner)),
            };
            Some((owner.as_str(), left))
        })
    }

    fn running(&self, owner: &str) -> usize {
        self.running.get(owner).copied().unwrap_or(0)
    }
}

impl fmt::Display for Exhausted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Running { limit } => write!(f, "its token runs as many jobs as it may ({limit})"),
            Self::Gpu(GpuTime { time, window }) => write!(
                f,
                "its token has used the {} s of GPU time that it may have in {}",
                time.as_secs(),
                humantime::format_duration(*window)
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accounts(running: usize, used_seconds: u64) -> Accounts {
        let gpu = Some(GpuTime { time: Duration::from_secs(60), window: Duration::from_secs(3600) });
        let anna = Allowance { max_running: Some(2), gpu, weight: 3.0, ..Allowance::default() };
        let carla = Allowance { gpu, ..Allowance::default() };
        let allowances = [("anna", anna), ("bob", Allowance::default()), ("carla", carla)];
        let tenants = Tenants::of(allowances.map(|(owner, allowance)| (owner.to_owned(), allowance)));
        let of = |count| HashMap::from(["anna", "bob", "carla"].map(|owner| (owner.to_owned(), count)));
        let used = HashMap::from([("anna".to_owned(), Duration::from_secs(used_seconds))]);
        Accounts::new(Arc::new(tenants), of(running), used)
    }

    #[test]
    fn an_owner_begins_no_more_than_it_may_and_hears_why() {
        let running = "its token runs as many jobs as it may (2)";
        let used = "its token has used the 60 s of GPU time that it may have in 1h";
        for (count, seconds, wanted, left) in [
            (0, 0, "", 2),
            (1, 59, "", 1),
            (2, 0, running, 0),
            (3, 59, running, 0),
            (3, 99, used, 0),
            (1, 60, used, 0),
        ] {
            let accounts = accounts(count, seconds);
            let told = accounts.exhausted(Some("anna")).map(|why| why.to_string()).unwrap_or_default();
            assert_eq!(told, wanted, "{count} {seconds}");
            assert_eq!(accounts.left().collect::<Vec<_>>(), [("anna", left)]);
            for other in [Some("bob"), Some("carla"), Some("nobody"), None] {
                assert_eq!((accounts.exhausted(other), accounts.weight(other)), (None, 1.0), "{other:?}");
            }
            assert_eq!(accounts.weight(Some("anna")), 3.0);
        }
    }
}
