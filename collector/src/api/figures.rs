//! The figures of the fleet and the ledger, written into the metrics when Prometheus asks.

use door::files::{Reloads, Tls};

use crate::dispatch::View;
use crate::fleet::{Fleet, Status};
use crate::metrics::Metrics;
use crate::queue::Ledger;

/// A backend whose state is unknown has no series.
pub(super) fn show(metrics: &Metrics, fleet: &Fleet, ledger: &Ledger, view: &View) {
    let waiting = ledger.waiting_len();
    metrics.jobs.with_label_values(&["waiting"]).set(waiting as i64);
    metrics.jobs.with_label_values(&["dispatched"]).set((ledger.len() - waiting) as i64);
    metrics.ready.set(f64::from(u8::from(view.reconciled)));
    let Metrics { backend_up, backend_agent_up, backend_backlog, backend_frees_failed, .. } = metrics;
    [backend_up, backend_agent_up, backend_backlog, backend_frees_failed]
        .iter()
        .for_each(|gauge| gauge.reset());
    for backend in &fleet.backends {
        let label = [backend.id.as_str()];
        for (gauge, health) in [(backend_up, &backend.health), (backend_agent_up, &backend.agent_health)] {
            if health.status != Status::Unknown {
                gauge.with_label_values(&label).set(i64::from(health.is_up()));
            }
        }
        if let Some(backlog) = &backend.backlog {
            backend_backlog.with_label_values(&label).set(backlog.value.total as i64);
        }
        if let Some(frees) = view.frees.get(&backend.id) {
            backend_frees_failed.with_label_values(&label).set(i64::from(frees.not_freed()));
        }
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
    use std::sync::Arc;

    use super::*;
    use crate::clock::UnixMillis;
    use crate::fleet::{Backend, Backlog, Observation, Seen, apply};
    use crate::queue::Tried;
    use crate::route::free::{Outcome, Reason};

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
    fn the_page_on_metrics_lists_exactly_what_is_exported() {
        let (metrics, backend) = (Metrics::new().unwrap(), "a".parse().unwrap());
        metrics.polled(&backend, 0.1, true);
        metrics.dispatched(&backend, true);
        metrics.requeued("not_found");
        metrics.freed(Reason::Idle, Outcome::Freed, Some(1));
        metrics.webhook(&Tried::Delivered);
        metrics.used("anna", std::time::Duration::from_secs(1));
        metrics.certificate_expiry.with_label_values::<&str>(&[]).set(1.0);
        let frees = [("a".parse().unwrap(), Arc::default())].into();
        let view = View { frees, ..View::default() };
        let text = metrics.text(|metrics| show(metrics, &fleet_of_one(), &Ledger::default(), &view)).unwrap();
        let exported: Vec<&str> =
            text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next()).collect();
        let page = include_str!("../../../docs/metrics.md");
        let listed = page
            .lines()
            .filter_map(|line| line.strip_prefix("| `orchestrator_collector_")?.split('`').next());
        let mut listed: Vec<String> = listed.map(|name| format!("orchestrator_collector_{name}")).collect();
        listed.sort();
        assert_eq!(exported, listed);
    }

    #[test]
    fn a_backend_that_was_not_asked_yet_has_no_series() {
        let url: url::Url = "http://127.0.0.1:8188".parse().unwrap();
        let fleet = Fleet::of([Backend::new("a".parse().unwrap(), url.clone(), url)]);
        let metrics = Metrics::new().unwrap();
        let text =
            metrics.text(|metrics| show(metrics, &fleet, &Ledger::default(), &View::default())).unwrap();
        assert!(!text.contains("backend_up{"), "{text}");
    }
}
