//! Metric families in the order in which they are written.

use prometheus::proto::{Counter, Gauge, LabelPair, Metric, MetricFamily, MetricType};

/// Label names and values of one series.
pub(super) type Labels<'a> = Vec<(&'static str, &'a str)>;

/// Collects families; a family without series is left out.
#[derive(Default)]
pub(super) struct Page {
    families: Vec<MetricFamily>,
}

impl Page {
    /// A family of gauges.
    pub(super) fn gauges<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        self.family(MetricType::GAUGE, name, help, series);
    }

    /// A family of counters.
    pub(super) fn counters<'a>(
        &mut self,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        self.family(MetricType::COUNTER, name, help, series);
    }

    /// A gauge without labels.
    pub(super) fn gauge(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.gauges(name, help, value.map(|value| (Labels::new(), value)));
    }

    /// A counter without labels.
    pub(super) fn counter(&mut self, name: &str, help: &str, value: Option<f64>) {
        self.counters(name, help, value.map(|value| (Labels::new(), value)));
    }

    fn family<'a>(
        &mut self,
        kind: MetricType,
        name: &str,
        help: &str,
        series: impl IntoIterator<Item = (Labels<'a>, f64)>,
    ) {
        let metrics: Vec<Metric> =
            series.into_iter().map(|(labels, value)| metric(kind, labels, value)).collect();
        if metrics.is_empty() {
            return;
        }
        let mut family = MetricFamily::default();
        family.set_name(name.to_owned());
        family.set_help(help.to_owned());
        family.set_field_type(kind);
        family.set_metric(metrics);
        self.families.push(family);
    }

    pub(super) fn into_families(self) -> Vec<MetricFamily> {
        self.families
    }
}

/// What is true as 1, what is not as 0.
pub(super) fn truth(truth: Option<bool>) -> Option<f64> {
    truth.map(|truth| f64::from(u8::from(truth)))
}

/// A whole number as Prometheus knows numbers: above 2^53 the nearest that there is.
pub(super) fn whole(number: Option<u64>) -> Option<f64> {
    number.map(|number| number as f64)
}

fn metric(kind: MetricType, labels: Labels<'_>, value: f64) -> Metric {
    let mut metric = Metric::from_label(labels.into_iter().map(|(name, value)| pair(name, value)).collect());
    if kind == MetricType::COUNTER {
        let mut counter = Counter::default();
        counter.set_value(value);
        metric.set_counter(counter);
    } else {
        let mut gauge = Gauge::default();
        gauge.set_value(value);
        metric.set_gauge(gauge);
    }
    metric
}

fn pair(name: &str, value: &str) -> LabelPair {
    let mut pair = LabelPair::default();
    pair.set_name(name.to_owned());
    pair.set_value(value.to_owned());
    pair
}
