//! The collector's own metrics, prefix `orchestrator_collector_`. What happens is counted where it happens; figures that
//! the fleet and the ledger know are written from their snapshots when Prometheus asks (`api/figures.rs`). Labels have values
//! from this program or its configuration, never from clients.

mod make;

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec,
    Registry, TextEncoder,
};

use self::make::Make;
pub use self::make::{Family, Made};
use crate::dispatch::Lost;
use crate::id::BackendId;
use crate::job::Outcome;
use crate::queue::{HeldCopies, Tried, WaitingCopies};
use crate::route::Rule;
use crate::route::free::{Outcome as Freed, Reason};

/// From 0.1 s to 4 h: what jobs take.
const JOB_SECONDS: [f64; 14] =
    [0.1, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0, 7200.0, 14400.0];
/// From 0.1 ms to 10 s: what requests and commits take.
const CALL_SECONDS: [f64; 11] = [0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 10.0];

/// What is told of who works on the database; the others tell it too.
pub(crate) const LEADER: &str =
    "Whether this collector works on the database; 0: it stands by for the one that does.";

pub struct Metrics {
    registry: Registry,
    families: Vec<Family>,
    leader: IntGauge,
    pub ready: Gauge,
    pub reload_successful: Gauge,
    pub reload_success_timestamp: Gauge,
    pub certificate_expiry: GaugeVec,
    pub jobs: IntGaugeVec,
    pub jobs_waiting: IntGaugeVec,
    pub oldest_waiting_job: GaugeVec,
    pub submissions: IntCounter,
    jobs_ended: IntCounterVec,
    pub job_wait_seconds: Histogram,
    pub job_run_seconds: Histogram,
    pub job_total_seconds: Histogram,
    pub dispatch_gap_seconds: Histogram,
    decisions: IntCounterVec,
    attempts: IntCounterVec,
    requeues: IntCounterVec,
    model_loads: IntCounterVec,
    pub model_load_seconds: Histogram,
    frees: IntCounterVec,
    freed_bytes: IntCounterVec,
    gpu_seconds: CounterVec,
    pub backend_up: IntGaugeVec,
    pub backend_agent_up: IntGaugeVec,
    pub backend_socket_up: IntGaugeVec,
    pub backend_takes_jobs: IntGaugeVec,
    pub backend_draining: IntGaugeVec,
    pub backend_jobs: IntGaugeVec,
    pub backend_backlog: IntGaugeVec,
    pub backend_frees_failed: IntGaugeVec,
    pub backend_observed: GaugeVec,
    poll_seconds: HistogramVec,
    poll_failures: IntCounterVec,
    pub commit_seconds: Histogram,
    pub commit_failures: IntCounter,
    pub client_sockets: IntGauge,
    pub events_dropped: IntCounter,
    pub slow_clients: IntCounter,
    webhooks: IntCounterVec,
    pub webhooks_waiting: IntGauge,
    traces: IntCounterVec,
    archive_copies: IntCounterVec,
    archive_files: IntGauge,
    archive_bytes: IntGauge,
    archive_waiting: IntGauge,
    archive_waiting_since: GaugeVec,
    /// One scrape at a time writes the figures of the snapshots.
    rendering: Mutex<()>,
}

/// What came of a file that was to be archived.
#[derive(Clone, Copy, Debug)]
pub enum Copied {
    Made,
    Unchanged,
    Failed,
    GivenUp,
}

/// What came of a job's trace.
#[derive(Clone, Copy, Debug)]
pub enum Traced {
    Sent,
    /// Not taken; it is sent again.
    Failed,
    GivenUp,
}

/// Which of a backend's servers is polled.
#[derive(Clone, Copy, Debug)]
pub enum Polled {
    Comfyui,
    Agent,
}

impl Metrics {
    pub fn new() -> Made<Self> {
        let mut make = Make::default();
        let build = make.numbers("build_info", &["version"], "Version of this program; always 1.")?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            leader: make.number("leader", LEADER)?,
            ready: make.gauge(
                "ready",
                "1 once the store is open and every attempt found at start was resolved.",
            )?,
            reload_successful: make.gauge(
                "config_last_reload_successful",
                "1 if the configuration could be used when it was last read again (SIGHUP).",
            )?,
            reload_success_timestamp: make.gauge(
                "config_last_reload_success_timestamp_seconds",
                "When the configuration in force was read, since the Unix epoch.",
            )?,
            certificate_expiry: make.gauges(
                "tls_certificate_expiry_timestamp_seconds",
                &[],
                "When the certificate expires, since the Unix epoch; absent without TLS.",
            )?,
            jobs: make.numbers("jobs", &["state"], "Jobs in the queue: `waiting`, or `dispatched` to a backend.")?,
            jobs_waiting: make.numbers(
                "jobs_waiting",
                &["reason"],
                "Waiting jobs by what keeps each from the backend that is nearest to running it: `turn` (one is free, and \
                 takes another job first or leaves it to another backend), `busy` (all that could have something to do), \
                 `resting` (they rest after a failure, or free their memory), `connecting` (their events are not heard, or \
                 what they offer is not known yet), `draining`, `down`, `nowhere` (no backend has what it asks for), `owner` \
                 (its token has as much as it may); `not_judged` are those too far behind to be looked at.",
            )?,
            oldest_waiting_job: make.gauges(
                "oldest_waiting_job_timestamp_seconds",
                &[],
                "When the job that has waited longest was submitted, since the Unix epoch; absent where none waits.",
            )?,
            submissions: make.counter("submissions_total", "Jobs accepted from clients.")?,
            jobs_ended: make.counters(
                "jobs_ended_total",
                &["outcome"],
                "Jobs that ended: `succeeded`, `failed`, `interrupted`, `cancelled`.",
            )?,
            job_wait_seconds: make.times("job_wait_seconds", &JOB_SECONDS, "From submission to dispatch.")?,
            job_run_seconds: make.times(
                "job_run_seconds",
                &JOB_SECONDS,
                "From a backend's start of a job to its end, of those that succeeded.",
            )?,
            job_total_seconds: make.times(
                "job_total_seconds",
                &JOB_SECONDS,
                "From submission to the committed result, of jobs that succeeded.",
            )?,
            dispatch_gap_seconds: make.times(
                "dispatch_gap_seconds",
                &CALL_SECONDS,
                "From a backend's end of a job to its acceptance of the next one that was waiting.",
            )?,
            decisions: make.counters(
                "decisions_total",
                &["verdict"],
                "Jobs given to a backend, by why there: `hot` (its largest model is in VRAM), `warm` (in main memory), `cold` \
                 (it is worth the load), `overdue` (it has waited too long for models that nobody has).",
            )?,
            attempts: make.counters("attempts_total", &["backend"], "Jobs handed to a backend.")?,
            requeues: make.counters(
                "requeues_total",
                &["reason"],
                "Jobs that waited again after an attempt: `process_gone`, `unreachable`, `backend_removed`, `not_found`, \
                 `never_sent`, `undeliverable`, `refused`, `out_of_memory`, `broken_context`, `lacking`.",
            )?,
            model_loads: make.counters(
                "model_loads_total",
                &["loaded"],
                "Attempts of jobs with models, by whether these were believed loaded: `true` is a load avoided.",
            )?,
            model_load_seconds: make.times(
                "model_load_seconds",
                &JOB_SECONDS,
                "Loads that were observed: from a backend's start of a job whose models were not believed loaded to its \
                 first step.",
            )?,
            frees: make.counters(
                "frees_total",
                &["reason", "outcome"],
                "Times that a backend was asked to free memory: for `idle`, `others`, `host_memory`, `out_of_memory`, \
                 `before_job`, `asked`; with what came of it: `freed`, `not_freed`, `unverified` (no figure tells), `failed` \
                 (it could not be asked).",
            )?,
            freed_bytes: make.counters(
                "freed_bytes_total",
                &["reason"],
                "GPU memory that figures showed to be freed.",
            )?,
            gpu_seconds: make.sums(
                "gpu_seconds_total",
                &["owner"],
                "Time for which jobs that have ended had backends, by the name of their token.",
            )?,
            backend_up: make.numbers("backend_up", &["backend"], "1 if it answers, 0 if it is down.")?,
            backend_agent_up: make.numbers("backend_agent_up", &["backend"], "The same of its agent.")?,
            backend_socket_up: make.numbers(
                "backend_socket_up",
                &["backend"],
                "1 while our WebSocket to it is open, by which its events are heard.",
            )?,
            backend_takes_jobs: make.numbers(
                "backend_takes_jobs",
                &["backend"],
                "1 if a job can be handed to it: it answers, its WebSocket is open, what it offers is known, nobody drains it.",
            )?,
            backend_draining: make.numbers("backend_draining", &["backend"], "1 while it is drained.")?,
            backend_jobs: make.numbers("backend_jobs", &["backend"], "Jobs of this collector that it has.")?,
            backend_backlog: make.numbers(
                "backend_backlog",
                &["backend"],
                "Prompts in its own queue, whoever submitted them; absent while unknown.",
            )?,
            backend_frees_failed: make.numbers(
                "backend_frees_failed",
                &["backend"],
                "Times in a row that it has not freed its memory; absent where it was never asked.",
            )?,
            backend_observed: make.gauges(
                "backend_observed_timestamp_seconds",
                &["backend", "asked"],
                "When what is known of it was read, since the Unix epoch: its backlog of `comfyui`, its figures of `agent`.",
            )?,
            poll_seconds: make.times_by(
                "poll_seconds",
                &["backend", "asked"],
                &CALL_SECONDS,
                "One poll of its `comfyui` or its `agent`.",
            )?,
            poll_failures: make.counters("poll_failures_total", &["backend", "asked"], "Polls that failed.")?,
            commit_seconds: make.times("commit_seconds", &CALL_SECONDS, "One transaction of the queue.")?,
            commit_failures: make.counter(
                "commit_failures_total",
                "Transactions of the queue that failed; whoever waited for one was refused.",
            )?,
            client_sockets: make.number("client_sockets", "Open WebSockets of clients.")?,
            events_dropped: make.counter(
                "events_dropped_total",
                "Previews and progress that slow clients lost.",
            )?,
            slow_clients: make.counter(
                "slow_clients_total",
                "Clients disconnected because they did not read.",
            )?,
            webhooks: make.counters(
                "webhooks_total",
                &["outcome"],
                "Webhooks sent: `delivered`, `failed` (it is sent again), `given_up`.",
            )?,
            webhooks_waiting: make.number(
                "webhooks_waiting",
                "Webhooks that wait to be sent, or sent again.",
            )?,
            traces: make.counters(
                "traces_total",
                &["outcome"],
                "Traces of ended jobs: `sent`, `failed` (it is sent again), `given_up` (not taken, too many waited, or the \
                 history had it no more).",
            )?,
            archive_copies: make.counters(
                "archive_copies_total",
                &["outcome"],
                "Files of ended jobs that were to be archived: `copied`, `unchanged` (it had been already), `failed` (it is \
                 tried again), `given_up`.",
            )?,
            archive_files: make.number("archive_files", "Files that are archived.")?,
            archive_bytes: make.number("archive_bytes", "Bytes of the files that are archived.")?,
            archive_waiting: make.number("archive_waiting_files", "Files that are still to be archived.")?,
            archive_waiting_since: make.gauges(
                "archive_waiting_since_timestamp_seconds",
                &[],
                "When the job ended whose file has waited longest to be archived, since the Unix epoch; absent where none \
                 waits.",
            )?,
            rendering: Mutex::default(),
            registry: make.registry.clone(),
            families: {
                make.process()?;
                make.families
            },
        };
        metrics.begin();
        Ok(metrics)
    }

    /// All that are exported, in the order of the page.
    pub fn families(&self) -> &[Family] {
        &self.families
    }

    /// What is counted by a few known words begins at 0, so that Prometheus sees the first time as well.
    fn begin(&self) {
        self.leader.set(1);
        let start = |counters: &IntCounterVec, labels: &[&str]| drop(counters.with_label_values(labels));
        Outcome::ALL.iter().for_each(|outcome| start(&self.jobs_ended, &[outcome.as_str()]));
        VERDICTS.iter().for_each(|verdict| start(&self.decisions, &[verdict]));
        Lost::ALL.iter().for_each(|lost| start(&self.requeues, &[lost.label()]));
        ["true", "false"].iter().for_each(|loaded| start(&self.model_loads, &[loaded]));
        COPIES.iter().for_each(|outcome| start(&self.archive_copies, &[outcome]));
        WEBHOOKS.iter().for_each(|outcome| start(&self.webhooks, &[outcome]));
        TRACED.iter().for_each(|traced| start(&self.traces, &[traced.label()]));
        for reason in Reason::ALL {
            start(&self.freed_bytes, &[reason.label()]);
            FREED.iter().for_each(|outcome| start(&self.frees, &[reason.label(), outcome.label()]));
        }
    }

    pub fn polled(&self, backend: &BackendId, polled: Polled, took: Duration, answered: bool) {
        let labels = [backend.as_str(), polled.label()];
        self.poll_seconds.with_label_values(&labels).observe(took.as_secs_f64());
        self.poll_failures.with_label_values(&labels).inc_by(u64::from(!answered));
    }

    pub fn decided(&self, rule: Rule) {
        self.decisions.with_label_values(&[verdict(rule)]).inc();
    }

    /// `models_loaded`: `None` where it names none.
    pub fn dispatched(&self, backend: &BackendId, models_loaded: Option<bool>) {
        self.attempts.with_label_values(&[backend.as_str()]).inc();
        if let Some(loaded) = models_loaded {
            self.model_loads.with_label_values(&[if loaded { "true" } else { "false" }]).inc();
        }
    }

    pub fn requeued(&self, lost: Lost) {
        self.requeues.with_label_values(&[lost.label()]).inc();
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

    pub fn traced(&self, traced: Traced, traces: u64) {
        self.traces.with_label_values(&[traced.label()]).inc_by(traces);
    }

    pub fn copied(&self, copied: Copied) {
        self.archive_copies.with_label_values(&[copied.label()]).inc();
    }

    pub fn archived(&self, held: HeldCopies, waiting: WaitingCopies) {
        let number = |gauge: &IntGauge, value: u64| gauge.set(value.cast_signed());
        number(&self.archive_files, held.files);
        number(&self.archive_bytes, held.bytes);
        number(&self.archive_waiting, waiting.files);
        match waiting.since {
            Some(since) => self.archive_waiting_since.with_label_values::<&str>(&[]).set(since.as_seconds()),
            None => self.archive_waiting_since.reset(),
        }
    }

    /// The text for Prometheus. `show` writes the figures of snapshots first; one scrape at a time does.
    pub fn text(&self, show: impl FnOnce(&Self)) -> Made<String> {
        let _rendering = self.rendering.lock().unwrap_or_else(PoisonError::into_inner);
        show(self);
        TextEncoder::new().encode_to_string(&self.registry.gather())
    }
}

impl Copied {
    fn label(self) -> &'static str {
        match self {
            Self::Made => "copied",
            Self::Unchanged => "unchanged",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

impl Traced {
    fn label(self) -> &'static str {
        match self {
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::GivenUp => "given_up",
        }
    }
}

impl Polled {
    pub fn label(self) -> &'static str {
        match self {
            Self::Comfyui => "comfyui",
            Self::Agent => "agent",
        }
    }
}

const FREED: [Freed; 4] = [Freed::Freed, Freed::NotFreed, Freed::Unverified, Freed::Failed];
const COPIES: [&str; 4] = ["copied", "unchanged", "failed", "given_up"];
const WEBHOOKS: [&str; 3] = ["delivered", "failed", "given_up"];
const TRACED: [Traced; 3] = [Traced::Sent, Traced::Failed, Traced::GivenUp];
const VERDICTS: [&str; 4] = ["hot", "warm", "cold", "overdue"];

fn verdict(rule: Rule) -> &'static str {
    match rule {
        Rule::Hot => "hot",
        Rule::Warm => "warm",
        Rule::Cold => "cold",
        Rule::Overdue => "overdue",
    }
}
