//! Whether a figure that was read all day is bounded: its last quarter beside its second, when all that a day fills is
//! full. Pure.

use serde::Serialize;

use crate::figures::{Spread, mebibytes, shown_times, times};
use crate::output::Table;

/// By how much the last quarter may lie above the second: readings are of single moments.
const FACTOR: f64 = 1.15;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Kind {
    Bytes,
    Count,
}

impl Kind {
    /// What a figure may grow by, however small it is.
    fn slack(self) -> f64 {
        match self {
            Self::Bytes => f64::from(4 << 20),
            Self::Count => 16.0,
        }
    }

    fn shown(self, figure: f64) -> String {
        match self {
            Self::Bytes => mebibytes(figure as u64),
            Self::Count => format!("{figure:.0}"),
        }
    }
}

#[derive(Debug, PartialEq, Serialize)]
pub(super) struct Figure {
    name: String,
    kind: Kind,
    second: Spread,
    last: Spread,
    pub(super) is_bounded: bool,
}

impl Figure {
    /// `None` where there are fewer readings than quarters.
    pub(super) fn of(name: String, kind: Kind, series: &[f64]) -> Option<Self> {
        let quarter = series.len() / 4;
        let part = |number: usize| {
            let from = series.len() - (4 - number) * quarter;
            Spread::of(series.get(from..from + quarter)?.iter().copied())
        };
        let (second, last) = (part(1)?, part(3)?);
        let is_bounded = last.median <= (second.median * FACTOR).max(second.median + kind.slack());
        Some(Self { name, kind, second, last, is_bounded })
    }
}

pub(super) fn table(figures: &[Figure], readings: usize) -> Table {
    let title = format!("What was there at {readings} readings: median (least–greatest)");
    let mut table =
        Table::new(title, &["figure", "second quarter", "last quarter", "last/second", "verdict"]);
    for figure in figures {
        let shown = |spread: Spread| spread.shown(|value| figure.kind.shown(value));
        let ratio = shown_times(times(figure.last.median, figure.second.median));
        let verdict = if figure.is_bounded { "bounded" } else { "GROWS" };
        table.row([figure.name.clone(), shown(figure.second), shown(figure.last), ratio, verdict.to_owned()]);
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(kind: Kind, series: impl IntoIterator<Item = u32>) -> Option<bool> {
        let series: Vec<f64> = series.into_iter().map(f64::from).collect();
        Figure::of("x".to_owned(), kind, &series).map(|figure| figure.is_bounded)
    }

    #[test]
    fn what_fills_and_stays_full_is_bounded_and_what_goes_on_growing_is_not() {
        let fills = (0..40).map(|at: u32| (at * 400).min(4000));
        assert_eq!(bounded(Kind::Count, fills), Some(true));
        assert_eq!(bounded(Kind::Count, (0..40).map(|at| at * 100)), Some(false));
        assert_eq!(bounded(Kind::Bytes, (0..40).map(|at| (50 + at) << 20)), Some(false));
        assert_eq!(bounded(Kind::Bytes, (0..40).map(|at| (50 << 20) + (at << 10))), Some(true));
    }

    #[test]
    fn a_handful_more_of_something_small_is_not_growth_and_nothing_is_not_either() {
        assert_eq!(bounded(Kind::Count, (0..40).map(|at| at / 4)), Some(true));
        assert_eq!(bounded(Kind::Count, std::iter::repeat_n(0, 40)), Some(true));
        assert_eq!(bounded(Kind::Count, [1, 2, 3]), None);
    }
}
