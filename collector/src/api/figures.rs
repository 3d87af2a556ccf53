//! The figures of the fleet and the ledger, written into the metrics when Prometheus asks.

mod waiting;

use std::collections::HashMap;

use door::files::{Reloads, Tls};

use crate::clock::UnixMillis;
use crate::dispatch::View;
use crate::fleet::{Backend, Fleet, Status};
use crate::metrics::{Metrics, Polled};
use crate::queue::Ledger;

/// A backend whose state is unknown has no series that tells it.
pub(super) fn show(metrics: &Metrics, fleet: &Fleet, ledger: &Ledger, view: &View, now: UnixMillis) {
    metrics.ready.set(f64::from(u8::from(view.reconciled)));
    show_queue(metrics, ledger, view, now);
    let of_backends = [
        &metrics.backend_up,
        &metrics.backend_agent_up,
        &metrics.backend_socket_up,
        &metrics.backend_takes_jobs,
        &metrics.backend_draining,
        &metrics.backend_jobs,
        &metrics.backend_backlog,
        &metrics.backend_frees_failed,
    ];
    of_backends.iter().for_each(|gauge| gauge.reset());
    metrics.backend_observed.reset();
    let mut jobs: HashMap<&str, i64> = HashMap::new();
    for running in view.running.values() {
        *jobs.entry(running.backend.as_str()).or_default() += 1;
    }
    for backend in &fleet.backends {
        let label = [backend.id.as_str()];
        show_backend(metrics, backend);
        metrics.backend_jobs.with_label_values(&label).set(jobs.get(label[0]).copied().unwrap_or(0));
        if let Some(frees) = view.frees.get(&backend.id) {
            metrics.backend_frees_failed.with_label_values(&label).set(i64::from(frees.not_freed()));
        }
    }
}

fn show_queue(metrics: &Metrics, ledger: &Ledger, view: &View, now: UnixMillis) {
    let waiting = ledger.waiting_len();
    metrics.jobs.with_label_values(&["waiting"]).set(waiting as i64);
    metrics.jobs.with_label_values(&["dispatched"]).set((ledger.len() - waiting) as i64);
    for (reason, jobs) in waiting::reasons(ledger, view, now) {
        metrics.jobs_waiting.with_label_values(&[reason.label()]).set(jobs as i64);
    }
    metrics.oldest_waiting_job.reset();
    if let Some(oldest) = ledger.waiting().map(|job| job.submitted_at).min() {
        metrics.oldest_waiting_job.with_label_values::<&str>(&[]).set(oldest.as_seconds());
    }
}

fn show_backend(metrics: &Metrics, backend: &Backend) {
    let label = [backend.id.as_str()];
    let healths =
        [(&metrics.backend_up, &backend.health), (&metrics.backend_agent_up, &backend.agent_health)];
    for (gauge, health) in healths.into_iter().filter(|(_, health)| health.status != Status::Unknown) {
        gauge.with_label_values(&label).set(i64::from(health.is_up()));
    }
    let truths = [
        (&metrics.backend_socket_up, backend.socket_since.is_some()),
        (&metrics.backend_takes_jobs, backend.takes_jobs()),
        (&metrics.backend_draining, backend.draining_since.is_some()),
    ];
    truths.iter().for_each(|(gauge, truth)| gauge.with_label_values(&label).set(i64::from(*truth)));
    if let Some(backlog) = &backend.backlog {
        metrics.backend_backlog.with_label_values(&label).set(backlog.value.total as i64);
    }
    let read = [
        (Polled::Comfyui, backend.backlog.as_ref().map(|read| read.at)),
        (Polled::Agent, backend.agent.as_ref().map(|read| read.at)),
    ];
    for (polled, at) in read.into_iter().filter_map(|(polled, at)| Some((polled, at?))) {
        let labels = [backend.id.as_str(), polled.label()];
        metrics.backend_observed.with_label_values(&labels).set(at.as_seconds());
    }
}

/// Without a certificate there is none to end.
pub(super) fn show_files(metrics: &Metrics, reloads: &Reloads, tls: Option<&Tls>) {
    metrics.reload_successful.set(f64::from(u8::from(reloads.last_succeeded)));
    metrics.reload_success_timestamp.set(reloads.last_success.as_secs_f64());
    if let Some(expires) = tls.and_then(|tls| tls.expires) {
        metrics.certificate_expiry.with_label_values::<&str>(&[]).set(expires.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::fleet::{Backlog, Observation, Seen, apply};
    use crate::job::Job;
    use crate::queue::{HeldCopies, WaitingCopies};

    const NOW: UnixMillis = UnixMillis(5_000);

    fn fleet_of_one() -> Fleet {
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        let fleet = Fleet::of([Backend::new("a".parse().unwrap(), url.clone(), url)]);
        let see = |fleet: &Fleet, seen| {
            apply(fleet, Observation { backend: "a".parse().unwrap(), at: UnixMillis(1), seen }).0
        };
        let up = see(&fleet, Seen::Backlog(Backlog::default()));
        see(&up, Seen::Agent(Arc::default()))
    }

    #[test]
    fn all_that_is_described_is_exported_and_nothing_else() {
        let (metrics, backend) = (Metrics::new().unwrap(), "a".parse().unwrap());
        metrics.polled(&backend, Polled::Comfyui, Duration::from_secs(1), true);
        metrics.dispatched(&backend, Some(true));
        metrics.used("anna", Duration::from_secs(1));
        metrics.certificate_expiry.with_label_values::<&str>(&[]).set(1.0);
        metrics.archived(HeldCopies::default(), WaitingCopies { files: 1, since: Some(NOW) });
        let view = View { frees: [(backend, Arc::default())].into(), ..View::default() };
        let ledger = Ledger::of([Job::for_tests(1)]);
        let text = metrics.text(|metrics| show(metrics, &fleet_of_one(), &ledger, &view, NOW)).unwrap();
        let exported: BTreeSet<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
        let described: BTreeSet<&str> =
            metrics.families().iter().map(|family| family.name.as_str()).collect();
        assert_eq!(exported, described);
    }

    #[test]
    fn labels_are_those_that_are_described() {
        let metrics = Metrics::new().unwrap();
        let text = metrics
            .text(|metrics| show(metrics, &fleet_of_one(), &Ledger::default(), &View::default(), NOW))
            .unwrap();
        let backlog =
            metrics.families().iter().find(|family| family.name.ends_with("_observed_timestamp_seconds"));
        assert_eq!(backlog.unwrap().labels, ["backend", "asked"]);
        assert!(
            text.contains("_observed_timestamp_seconds{asked=\"comfyui\",backend=\"a\"} 0.001"),
            "{text}"
        );
    }

    #[test]
    fn a_backend_that_was_not_asked_yet_has_no_series() {
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        let fleet = Fleet::of([Backend::new("a".parse().unwrap(), url.clone(), url)]);
        let metrics = Metrics::new().unwrap();
        let text =
            metrics.text(|metrics| show(metrics, &fleet, &Ledger::default(), &View::default(), NOW)).unwrap();
        assert!(!text.contains("backend_up{"), "{text}");
    }
}
