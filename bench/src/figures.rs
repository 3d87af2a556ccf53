//! Samples and what is said of them: pure.

use std::time::Duration;

use serde::Serialize;

/// What is said of a set of durations, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Latency {
    pub(crate) samples: usize,
    pub(crate) p50_us: f64,
    pub(crate) p99_us: f64,
    pub(crate) max_us: f64,
}

impl Latency {
    /// `None` without samples.
    pub(crate) fn of(mut samples: Vec<Duration>) -> Option<Self> {
        samples.sort_unstable();
        Some(Self {
            samples: samples.len(),
            p50_us: micros(rank(&samples, 50)?),
            p99_us: micros(rank(&samples, 99)?),
            max_us: micros(*samples.last()?),
        })
    }
}

/// The nearest-rank percentile of sorted samples.
fn rank(sorted: &[Duration], percent: usize) -> Option<Duration> {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied()
}

pub(crate) fn micros(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1e6
}

/// One figure over several rounds: its median, with the least and the greatest.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// `None` without figures.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_unstable_by(f64::total_cmp);
        let (min, max) = (*figures.first()?, *figures.last()?);
        let upper = figures.get(figures.len() / 2)?;
        let lower = figures.get((figures.len() - 1) / 2)?;
        Some(Self { median: f64::midpoint(*lower, *upper), min, max })
    }

    /// `median (min–max)`, each as `show` writes it; the median alone where all are the same.
    pub(crate) fn shown(&self, show: impl Fn(f64) -> String) -> String {
        let [median, min, max] = [self.median, self.min, self.max].map(show);
        if min == max { median } else { format!("{median} ({min}–{max})") }
    }
}

/// Latencies of several rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(crate) struct Rounds {
    /// Samples of all rounds.
    pub(crate) samples: usize,
    pub(crate) p50_us: Spread,
    pub(crate) p99_us: Spread,
    pub(crate) max_us: Spread,
}

impl Rounds {
    /// `None` where there is no round, or one without samples.
    pub(crate) fn of(rounds: impl IntoIterator<Item = Vec<Duration>>) -> Option<Self> {
        let rounds: Vec<Latency> = rounds.into_iter().map(Latency::of).collect::<Option<_>>()?;
        let spread = |figure: fn(&Latency) -> f64| Spread::of(rounds.iter().map(figure));
        Some(Self {
            samples: rounds.iter().map(|round| round.samples).sum(),
            p50_us: spread(|round| round.p50_us)?,
            p99_us: spread(|round| round.p99_us)?,
            max_us: spread(|round| round.max_us)?,
        })
    }

    /// The cells of a table: p50, p99, max.
    pub(crate) fn cells(&self) -> [String; 3] {
        [&self.p50_us, &self.p99_us, &self.max_us].map(|spread| spread.shown(time))
    }
}

/// A time for people.
pub(crate) fn time(us: f64) -> String {
    match us {
        us if us.abs() < 1_000.0 => format!("{us:.0} µs"),
        us if us.abs() < 1_000_000.0 => format!("{:.2} ms", us / 1e3),
        us => format!("{:.2} s", us / 1e6),
    }
}

/// A number of bytes for people.
pub(crate) fn mebibytes(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
}

/// How many times as much; absent where there is nothing to compare with.
pub(crate) fn times(figure: f64, of: f64) -> Option<f64> {
    (of > 0.0).then(|| figure / of)
}

pub(crate) fn shown_times(times: Option<f64>) -> String {
    match times {
        Some(times) if times < 0.1 => format!("{times:.4}×"),
        Some(times) => format!("{times:.2}×"),
        None => "–".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(values: impl IntoIterator<Item = u64>) -> Vec<Duration> {
        values.into_iter().map(Duration::from_millis).collect()
    }

    #[test]
    fn percentiles_are_samples_that_were_measured() {
        let latency = Latency::of(millis((1..=200).rev())).unwrap();
        let expected = Latency { samples: 200, p50_us: 100e3, p99_us: 198e3, max_us: 200e3 };
        assert_eq!(latency, expected);
    }

    #[test]
    fn one_sample_is_every_percentile_and_none_is_nothing() {
        let latency = Latency::of(millis([7])).unwrap();
        assert_eq!((latency.p50_us, latency.p99_us, latency.max_us), (7e3, 7e3, 7e3));
        assert_eq!(Latency::of(Vec::new()), None);
        assert_eq!(Spread::of([]), None);
    }

    #[test]
    fn the_median_of_an_even_number_of_rounds_lies_between_the_middle_two() {
        assert_eq!(Spread::of([4.0, 1.0, 3.0, 2.0]).unwrap().median, 2.5);
        let odd = Spread::of([9.0, 1.0, 3.0]).unwrap();
        assert_eq!((odd.median, odd.min, odd.max), (3.0, 1.0, 9.0));
    }

    #[test]
    fn times_are_written_in_the_unit_that_fits() {
        assert_eq!([time(12.4), time(1_500.0), time(2_000_000.0)], ["12 µs", "1.50 ms", "2.00 s"]);
    }

    #[test]
    fn nothing_is_no_measure_to_compare_with() {
        assert_eq!(times(3.0, 0.0), None);
        assert_eq!([times(3.0, 2.0), times(1.0, 200.0), None].map(shown_times), ["1.50×", "0.0050×", "–"]);
    }
}
