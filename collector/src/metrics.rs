//! The collector's own metrics, prefix `orchestrator_collector_`. What happens is counted where it happens; figures that
//! the fleet and the ledger know are written from their snapshots when Prometheus asks (`api/figures.rs`).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::core::Collector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::id::BackendId;
use crate::job::Outcome;
use crate::queue::Tried;
use crate::route::free::{Outcome as Freed, Reason};

/// From 0.1 s to 4 h: what jobs take.
const JOB_SECONDS: [f64; 14] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0];
/// From 0.1 ms to 10 s: what requests and commits take.
const CALL_SECONDS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

pub struct Metrics {
    registry: Registry,
    pub commit_seconds: Histogram,
    pub job_wait_seconds: Histogram,
    pub job_run_seconds: Histogram,
    pub dispatch_gap_seconds: Histogram,
    pub submissions: IntCounter,
    pub client_sockets: IntGauge,
    pub events_dropped: IntCounter,
    pub slow_clients: IntCounter,
    jobs_ended: IntCounterVec,
    attempts: IntCounterVec,
    requeues: IntCounterVec,
    frees: IntCounterVec,
    freed_bytes: IntCounterVec,
    model_loads: IntCounterVec,
    webhooks: IntCounterVec,
    gpu_seconds: CounterVec,
    pub webhooks_waiting: IntGauge,
    pub jobs: IntGaugeVec,
    pub backend_up: IntGaugeVec,
    pub backend_agent_up: IntGaugeVec,
    pub backend_backlog: IntGaugeVec,
    pub backend_frees_failed: IntGaugeVec,
    poll_seconds: HistogramVec,
    poll_failures: IntCounterVec,
    pub ready: Gauge,
    pub reload_successful: Gauge,
    pub reload_success_timestamp: Gauge,
    /// Without labels; a family, so that it has no series where there is no certificate.
    pub certificate_expiry: GaugeVec,
    /// One scrape at a time writes the figures of the snapshots.
    rendering: Mutex<()>,
}

/// The registry's own results.
pub type Made<T> = prometheus::Result<T>;

fn register<T: Collector + Clone + 'static>(registry: &Registry, metric: T) -> Made<T> {
    registry.register(Box::new(metric.clone()))?;
    Ok(metric)
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("orchestrator_collector_{name}"), help)
}

fn seconds(name: &str, help: &str, buckets: &[f64]) -> HistogramOpts {
    HistogramOpts::from(opts(name, help)).buckets(buckets.to_vec())
}

impl Metrics {
    pub fn new() -> Made<Self> {
        let registry = Registry::new();
        let r = &registry;
        let metrics = Self {
            commit_seconds: register(
                r,
                Histogram::with_opts(seconds(
                    "commit_seconds",
                    "Time of one transaction of the queue.",
                    &CALL_SECONDS,
                ))?,
            )?,
            job_wait_seconds: register(
                r,
                Histogram::with_opts(seconds(
                    "job_wait_seconds",
                    "Time from submission to dispatch.",
                    &JOB_SECONDS,
                ))?,
            )?,
            job_run_seconds: register(
                r,
                Histogram::with_opts(seconds(
                    "job_run_seconds",
                    "Time from a backend's start of a job to its end.",
                    &JOB_SECONDS,
                ))?,
            )?,
            dispatch_gap_seconds: register(
                r,
                Histogram::with_opts(seconds(
                    "dispatch_gap_seconds",
                    "Time from a backend's end of a job to its acceptance of the next one that was waiting.",
                    &CALL_SECONDS,
                ))?,
            )?,
            submissions: register(
                r,
                IntCounter::with_opts(opts("submissions_total", "Jobs accepted from clients."))?,
            )?,
            client_sockets: register(
                r,
                IntGauge::with_opts(opts("client_sockets", "Open WebSockets of clients."))?,
            )?,
            events_dropped: register(
                r,
                IntCounter::with_opts(opts(
                    "events_dropped_total",
                    "Previews and progress that slow clients lost.",
                ))?,
            )?,
            slow_clients: register(
                r,
                IntCounter::with_opts(opts(
                    "slow_clients_total",
                    "Clients disconnected because they did not read.",
                ))?,
            )?,
            jobs_ended: register(
                r,
                IntCounterVec::new(opts("jobs_ended_total", "Jobs that ended, by outcome."), &["outcome"])?,
            )?,
            attempts: register(
                r,
                IntCounterVec::new(opts("attempts_total", "Jobs handed to a backend."), &["backend"])?,
            )?,
            requeues: register(
                r,
                IntCounterVec::new(
                    opts("requeues_total", "Jobs that waited again after an attempt, by reason."),
                    &["reason"],
                )?,
            )?,
            frees: register(
                r,
                IntCounterVec::new(
                    opts(
                        "frees_total",
                        "Times that a backend was asked to free memory, by reason and what came of it.",
                    ),
                    &["reason", "outcome"],
                )?,
            )?,
            freed_bytes: register(
                r,
                IntCounterVec::new(
                    opts("freed_bytes_total", "GPU memory that was seen to be freed, by reason."),
                    &["reason"],
                )?,
            )?,
            backend_frees_failed: register(
                r,
                IntGaugeVec::new(
                    opts(
                        "backend_frees_failed",
                        "Times in a row that a backend has not freed memory; absent where it was never asked.",
                    ),
                    &["backend"],
                )?,
            )?,
            model_loads: register(
                r,
                IntCounterVec::new(
                    opts("model_loads_total", "Attempts by whether the models were believed loaded."),
                    &["loaded"],
                )?,
            )?,
            gpu_seconds: register(
                r,
                CounterVec::new(
                    opts("gpu_seconds_total", "Time for which jobs that have ended had backends, by owner."),
                    &["owner"],
                )?,
            )?,
            webhooks: register(
                r,
                IntCounterVec::new(
                    opts("webhooks_total", "Webhooks sent, by what came of it."),
                    &["outcome"],
                )?,
            )?,
            webhooks_waiting: register(
                r,
                IntGauge::with_opts(opts(
                    "webhooks_waiting",
                    "Webhooks that wait to be sent, or sent again.",
                ))?,
            )?,
            jobs: register(r, IntGaugeVec::new(opts("jobs", "Jobs in the queue, by state."), &["state"])?)?,
            backend_up: register(
                r,
                IntGaugeVec::new(opts("backend_up", "Whether a backend answers."), &["backend"])?,
            )?,
            backend_agent_up: register(
                r,
                IntGaugeVec::new(
                    opts("backend_agent_up", "Whether a backend's agent answers."),
                    &["backend"],
                )?,
            )?,
            backend_backlog: register(
                r,
                IntGaugeVec::new(
                    opts("backend_backlog", "Prompts in a backend's own queue; absent while unknown."),
                    &["backend"],
                )?,
            )?,
            poll_seconds: register(
                r,
                HistogramVec::new(
                    seconds("poll_seconds", "Time of one poll of a backend.", &CALL_SECONDS),
                    &["backend"],
                )?,
            )?,
            poll_failures: register(
                r,
                IntCounterVec::new(
                    opts("poll_failures_total", "Polls of a backend that failed."),
                    &["backend"],
                )?,
            )?,
            ready: register(
                r,
                Gauge::with_opts(opts(
                    "ready",
                    "Whether the store is open and every attempt found at start was resolved.",
                ))?,
            )?,
            reload_successful: register(
                r,
                Gauge::with_opts(opts(
                    "config_last_reload_successful",
                    "Whether the configuration could be used when it was last read again (SIGHUP).",
                ))?,
            )?,
            reload_success_timestamp: register(
                r,
                Gauge::with_opts(opts(
                    "config_last_reload_success_timestamp_seconds",
                    "When the configuration in force was read, in seconds since the Unix epoch.",
                ))?,
            )?,
            certificate_expiry: register(
                r,
                GaugeVec::new(
                    opts(
                        "tls_certificate_expiry_timestamp_seconds",
                        "When the certificate expires, in seconds since the Unix epoch.",
                    ),
                    &[],
                )?,
            )?,
            registry: registry.clone(),
            rendering: Mutex::default(),
        };
        let build = IntGaugeVec::new(opts("build_info", "Version of this program."), &["version"])?;
        register(&registry, build)?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        Outcome::ALL
            .iter()
            .for_each(|outcome| drop(metrics.jobs_ended.with_label_values(&[outcome.as_str()])));
        Ok(metrics)
    }

    pub fn polled(&self, backend: &BackendId, seconds: f64, answered: bool) {
        self.poll_seconds.with_label_values(&[backend.as_str()]).observe(seconds);
        let failures = self.poll_failures.with_label_values(&[backend.as_str()]);
        failures.inc_by(u64::from(!answered));
    }

    pub fn dispatched(&self, backend: &BackendId, models_loaded: bool) {
        self.attempts.with_label_values(&[backend.as_str()]).inc();
        self.model_loads.with_label_values(&[if models_loaded { "true" } else { "false" }]).inc();
    }

    pub fn requeued(&self, reason: &str) {
        self.requeues.with_label_values(&[reason]).inc();
    }

    pub fn ended(&self, outcome: Outcome) {
        self.jobs_ended.with_label_values(&[outcome.as_str()]).inc();
    }

    pub fn freed(&self, reason: Reason, outcome: Freed, bytes: Option<u64>) {
        self.frees.with_label_values(&[reason.label(), outcome.label()]).inc();
        self.freed_bytes.with_label_values(&[reason.label()]).inc_by(bytes.unwrap_or_default());
    }

    pub fn used(&self, owner: &str, time: Duration) {
        self.gpu_seconds.with_label_values(&[owner]).inc_by(time.as_secs_f64());
    }

    pub fn webhook(&self, tried: &Tried) {
        let outcome = match tried {
            Tried::Delivered => "delivered",
            Tried::Again { .. } => "failed",
            Tried::GivenUp { .. } => "given_up",
        };
        self.webhooks.with_label_values(&[outcome]).inc();
    }

    /// The text for Prometheus. `show` writes the figures of snapshots first; one scrape at a time does.
    pub fn text(&self, show: impl FnOnce(&Self)) -> Made<String> {
        let _rendering = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        show(self);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}
