//! Letting go of NVML on demand, so that a driver can be replaced, a GPU reset or MIG configured. HTTP asks, the GPU
//! probe obeys; neither waits for the other under a lock.

use std::time::{Duration, Instant};

use tokio::sync::watch;

/// What is asked of the probe, and whether it holds the driver.
#[derive(Debug)]
pub(crate) struct Release {
    until: watch::Sender<Option<Instant>>,
    held: watch::Sender<bool>,
}

impl Default for Release {
    fn default() -> Self {
        Self { until: watch::Sender::new(None), held: watch::Sender::new(false) }
    }
}

impl Release {
    /// Asks the probe to hold no driver until then; a moment that has passed ends the release.
    pub(crate) fn ask(&self, until: Instant) {
        self.until.send_replace(Some(until));
    }

    /// Waits until the probe holds no driver. `false`: it still does after `patience`, because a call hangs.
    pub(crate) async fn released(&self, patience: Duration) -> bool {
        let mut held = self.held.subscribe();
        let let_go = held.wait_for(|held| !held);
        tokio::time::timeout(patience, let_go).await.is_ok_and(|seen| seen.is_ok())
    }

    /// For the probe: how long it must hold no driver.
    pub(crate) fn rest(&self, now: Instant) -> Option<Duration> {
        let rest = self.until.borrow().map(|until| until.saturating_duration_since(now));
        rest.filter(|rest| !rest.is_zero())
    }

    /// For the probe: says that it holds the driver, or is about to. It must look at [`Self::rest`] afterwards: so
    /// whoever asks meanwhile either sees that the driver is held, or is seen.
    pub(crate) fn hold(&self) {
        self.held.send_replace(true);
    }

    /// For the probe: says that it holds no driver any more.
    pub(crate) fn let_go(&self) {
        self.held.send_replace(false);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[tokio::test]
    async fn a_release_is_done_when_the_probe_has_let_go_and_not_before() {
        let release = Release::default();
        let now = Instant::now();
        release.hold();
        assert_eq!(release.rest(now), None);
        release.ask(now + SECOND);
        assert!(!release.released(Duration::from_millis(1)).await);
        assert_eq!(release.rest(now), Some(SECOND));
        release.let_go();
        assert!(release.released(SECOND).await);
    }

    #[tokio::test]
    async fn a_release_ends_by_itself_or_when_told_to() {
        let release = Release::default();
        let now = Instant::now();
        release.ask(now + SECOND);
        assert_eq!(release.rest(now + SECOND), None);
        release.ask(now);
        assert_eq!(release.rest(now), None);
    }
}
