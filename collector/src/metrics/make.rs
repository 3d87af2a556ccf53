//! Makes the metrics of a registry, and notes what each is called and means: `docs/metrics.md` is written from that.

use prometheus::core::Collector;
use prometheus::process_collector::ProcessCollector;
use prometheus::{
    CounterVec, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry,
};

/// The registry's own results.
pub type Made<T> = prometheus::Result<T>;

/// What a page tells of one metric; its name ends in its unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Family {
    pub name: String,
    /// `counter`, `gauge` or `histogram`.
    pub kind: &'static str,
    pub labels: Vec<String>,
    pub help: String,
}

#[derive(Default)]
pub(super) struct Make {
    pub registry: Registry,
    pub families: Vec<Family>,
}

impl Make {
    pub(super) fn counter(&mut self, name: &str, help: &str) -> Made<IntCounter> {
        let opts = self.note("counter", name, &[], help);
        self.register(IntCounter::with_opts(opts)?)
    }

    pub(super) fn counters(&mut self, name: &str, labels: &[&str], help: &str) -> Made<IntCounterVec> {
        let opts = self.note("counter", name, labels, help);
        self.register(IntCounterVec::new(opts, labels)?)
    }

    /// Of what is measured, not counted.
    pub(super) fn sums(&mut self, name: &str, labels: &[&str], help: &str) -> Made<CounterVec> {
        let opts = self.note("counter", name, labels, help);
        self.register(CounterVec::new(opts, labels)?)
    }

    pub(super) fn gauge(&mut self, name: &str, help: &str) -> Made<Gauge> {
        let opts = self.note("gauge", name, &[], help);
        self.register(Gauge::with_opts(opts)?)
    }

    /// With no label it is a family all the same, so that it has no series where there is nothing to tell.
    pub(super) fn gauges(&mut self, name: &str, labels: &[&str], help: &str) -> Made<GaugeVec> {
        let opts = self.note("gauge", name, labels, help);
        self.register(GaugeVec::new(opts, labels)?)
    }

    /// A gauge of what is counted.
    pub(super) fn number(&mut self, name: &str, help: &str) -> Made<IntGauge> {
        let opts = self.note("gauge", name, &[], help);
        self.register(IntGauge::with_opts(opts)?)
    }

    pub(super) fn numbers(&mut self, name: &str, labels: &[&str], help: &str) -> Made<IntGaugeVec> {
        let opts = self.note("gauge", name, labels, help);
        self.register(IntGaugeVec::new(opts, labels)?)
    }

    pub(super) fn times(&mut self, name: &str, buckets: &[f64], help: &str) -> Made<Histogram> {
        let opts = HistogramOpts::from(self.note("histogram", name, &[], help));
        self.register(Histogram::with_opts(opts.buckets(buckets.to_vec()))?)
    }

    pub(super) fn times_by(
        &mut self,
        name: &str,
        labels: &[&str],
        buckets: &[f64],
        help: &str,
    ) -> Made<HistogramVec> {
        let opts = HistogramOpts::from(self.note("histogram", name, labels, help));
        self.register(HistogramVec::new(opts.buckets(buckets.to_vec()), labels)?)
    }

    /// The figures of this program's process, under the names that all programs have for them.
    pub(super) fn process(&mut self) -> Made<()> {
        let process = ProcessCollector::for_self();
        for desc in process.desc() {
            let kind = if desc.fq_name.ends_with("_total") { "counter" } else { "gauge" };
            self.describe(kind, desc.fq_name.clone(), &[], &desc.help);
        }
        self.registry.register(Box::new(process))
    }

    fn note(&mut self, kind: &'static str, name: &str, labels: &[&str], help: &str) -> Opts {
        let name = format!("orchestrator_collector_{name}");
        self.describe(kind, name.clone(), labels, help);
        Opts::new(name, help)
    }

    fn describe(&mut self, kind: &'static str, name: String, labels: &[&str], help: &str) {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        self.families.push(Family { name, kind, labels, help: help.to_owned() });
    }

    fn register<T: Collector + Clone + 'static>(&self, metric: T) -> Made<T> {
        self.registry.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}
